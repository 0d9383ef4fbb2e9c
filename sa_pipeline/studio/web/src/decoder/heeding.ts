/** Whether an answer does what the clicks say, and what to ask with where it does not. */

import type { MaskCrop } from './enlargement';
import { scaleOf, type Frame } from './frame';
import { SURE } from './seed';

export interface Clicks {
  readonly point_coords: readonly (readonly [number, number])[];
  /** 1: belongs to the object, 0: does not. */
  readonly point_labels: readonly (0 | 1)[];
}

/** Of the side of the logits: about what a person means by a click. */
const REACH = 1 / 12;

/** Whether the mask holds every foreground click and no background click. */
export function heeds({ x, y, width, height, pixels }: MaskCrop, { point_coords: points, point_labels: labels }: Clicks): boolean {
  return points.every(([pointX, pointY], k) => {
    const [column, row] = [Math.round(pointX) - x, Math.round(pointY) - y];
    const inside = column >= 0 && row >= 0 && column < width && row < height;
    return (inside && pixels[row * width + column] !== 0) === (labels[k] === 1);
  });
}

/** `mask_input` in which what lies around each click is as the click says; a later click wins. */
export function withClicks(maskInput: Float32Array, { point_coords: points, point_labels: labels }: Clicks, frame: Frame): Float32Array {
  const side = frame.lowResSide;
  const cellsPerPixel = (scaleOf(frame) * side) / frame.imageSize;
  const changed = maskInput.slice();
  points.forEach(([pointX, pointY], k) => {
    const [x, y] = [(pointX + 0.5) * cellsPerPixel, (pointY + 0.5) * cellsPerPixel];
    for (let cell = 0; cell < changed.length; cell++) {
      const away = Math.hypot((cell % side) + 0.5 - x, Math.floor(cell / side) + 0.5 - y);
      if (away <= REACH * side) changed[cell] = labels[k] === 1 ? SURE : -SURE;
    }
  });
  return changed;
}
