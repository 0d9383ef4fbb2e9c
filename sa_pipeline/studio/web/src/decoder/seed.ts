/** Logits for a mask that has none of its own: drawn by hand, pre-filled, or saved earlier. */

import { forEachStretch, type Runs } from '../rle';
import type { MaskCrop } from './enlargement';
import { coveredPart, scaleOf, type Frame } from './frame';

/** The logit of what is known. */
export const SURE = 10;

/**
 * A mask as SAM's `mask_input`: lowResSide squared, +10 in cells that it covers at least half, else -10.
 *
 * An approximation: SAM learned from the soft logits of its own answers, which a binary mask no longer has.
 */
export function seedOf(mask: Runs, frame: Frame): Float32Array {
  const side = frame.lowResSide;
  const part = coveredPart(frame);
  const cellsPerPixelX = (part.width / frame.width) * (side / frame.imageSize);
  const cellsPerPixelY = (part.height / frame.height) * (side / frame.imageSize);
  const cellArea = 1 / (cellsPerPixelX * cellsPerPixelY);
  const covered = new Float32Array(side * side);
  const column = new Float32Array(side + 1);
  let columnAt = -1;
  const pour = (): void => {
    if (columnAt < 0) return;
    spread(columnAt * cellsPerPixelX, (columnAt + 1) * cellsPerPixelX, side, (cell, share) => {
      for (let y = 0; y < side; y++) covered[y * side + cell]! += (column[y]! * share) / cellsPerPixelX;
    });
    column.fill(0);
  };
  forEachStretch(mask, (x, y0, y1) => {
    if (x !== columnAt) pour();
    columnAt = x;
    spread(y0 * cellsPerPixelY, y1 * cellsPerPixelY, side, (cell, share) => {
      column[cell]! += share / cellsPerPixelY;
    });
  });
  pour();
  return covered.map((pixels) => (pixels >= cellArea / 2 ? SURE : -SURE));
}

/** A box (XYXY, stored coordinates) as `mask_input`: all of it set. */
export function seedOfBox(box: readonly [number, number, number, number], frame: Frame): Float32Array {
  const side = frame.lowResSide;
  const cellsPerPixel = (scaleOf(frame) * side) / frame.imageSize;
  const [x0, y0, x1, y1] = box.map((at, k) => (at + (k < 2 ? 0 : 1)) * cellsPerPixel) as [number, number, number, number];
  return Float32Array.from({ length: side * side }, (_, cell) => {
    const [x, y] = [(cell % side) + 0.5, Math.floor(cell / side) + 0.5];
    return x >= x0 && x <= x1 && y >= y0 && y <= y1 ? SURE : -SURE;
  });
}

/** How much the rectangle around an answer's set pixels and the box have in common: their IoU. */
export function fit(crop: MaskCrop, box: readonly [number, number, number, number]): number {
  let [left, top, right, bottom] = [Infinity, Infinity, -1, -1];
  for (let y = 0, i = 0; y < crop.height; y++) {
    for (let x = 0; x < crop.width; x++, i++) {
      if (crop.pixels[i] === 0) continue;
      left = Math.min(left, crop.x + x);
      right = Math.max(right, crop.x + x);
      top = Math.min(top, crop.y + y);
      bottom = crop.y + y;
    }
  }
  const overlap = (a0: number, a1: number, b0: number, b1: number): number => Math.max(0, Math.min(a1, b1) - Math.max(a0, b0) + 1);
  const areaOf = (x0: number, y0: number, x1: number, y1: number): number => Math.max(0, x1 - x0 + 1) * Math.max(0, y1 - y0 + 1);
  if (right < 0) return 0;
  const common = overlap(left, right, box[0], box[2]) * overlap(top, bottom, box[1], box[3]);
  return common / (areaOf(left, top, right, bottom) + areaOf(...box) - common);
}

/** Divide the stretch from `from` to `to` (cells, continuous) among the cells that it lies in. */
function spread(from: number, to: number, side: number, give: (cell: number, share: number) => void): void {
  for (let cell = Math.floor(from); cell < Math.min(side, Math.ceil(to)); cell++) {
    give(cell, Math.min(to, cell + 1) - Math.max(from, cell));
  }
}
