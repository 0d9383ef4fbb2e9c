/** Logits for a mask that has none of its own: drawn by hand, pre-filled, or saved earlier. */

import { forEachStretch, type Runs } from '../rle';
import { coveredPart, type Frame } from './frame';

const SURE = 10;

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

/** Divide the stretch from `from` to `to` (cells, continuous) among the cells that it lies in. */
function spread(from: number, to: number, side: number, give: (cell: number, share: number) => void): void {
  for (let cell = Math.floor(from); cell < Math.min(side, Math.ceil(to)); cell++) {
    give(cell, Math.min(to, cell + 1) - Math.max(from, cell));
  }
}
