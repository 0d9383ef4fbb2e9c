/**
 * From low-resolution logits to the mask at the image's full size, as `Sam.postprocess_masks` does it: bilinear to
 * imageSize squared, cropped to the image's part, bilinear to the image, thresholded (torch's align_corners=False).
 *
 * Both steps are linear and separable, so each output row and column is a weighted sum of at most three cells; the
 * square between is never made, and what lies away from set cells is not computed.
 */

import { coveredPart, type Frame } from './frame';

/** A part of a mask: row-major bytes of 0 and 1 at x, y of the image; everything outside is 0. */
export interface MaskCrop {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array<ArrayBuffer>;
}

const TAPS = 3;

/** For each output position, the first of the three cells that it is made of, and their weights. */
interface Axis {
  readonly first: Int32Array;
  readonly weights: Float32Array;
}

/** logits: lowResSide squared, row-major. */
export function enlarge(logits: Float32Array, frame: Frame, threshold: number): MaskCrop {
  const side = frame.lowResSide;
  const part = coveredPart(frame);
  const cells = boundsAbove(logits, side, threshold);
  if (cells === null) return { x: 0, y: 0, width: 0, height: 0, pixels: new Uint8Array(0) };
  const across = axisOf(side, frame.imageSize, part.width, frame.width);
  const down = axisOf(side, frame.imageSize, part.height, frame.height);
  const [x0, x1] = reach(across, cells.x0, cells.x1);
  const [y0, y1] = reach(down, cells.y0, cells.y1);
  const width = x1 - x0;
  const height = y1 - y0;
  if (width <= 0 || height <= 0) return { x: 0, y: 0, width: 0, height: 0, pixels: new Uint8Array(0) };

  const firstRow = down.first[y0]!;
  const rows = Math.min(side, down.first[y1 - 1]! + TAPS) - firstRow;
  const stretched = stretchRows(logits, side, firstRow, rows, across, x0, width);
  const pixels = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = down.first[y0 + y]! - firstRow;
    const [w0, w1, w2] = [0, 1, 2].map((tap) => down.weights[(y0 + y) * TAPS + tap]!) as [number, number, number];
    const r0 = row * width;
    const r1 = Math.min(row + 1, rows - 1) * width;
    const r2 = Math.min(row + 2, rows - 1) * width;
    const out = y * width;
    for (let x = 0; x < width; x++) {
      const value = w0 * stretched[r0 + x]! + w1 * stretched[r1 + x]! + w2 * stretched[r2 + x]!;
      pixels[out + x] = value > threshold ? 1 : 0;
    }
  }
  return { x: x0, y: y0, width, height, pixels };
}

function stretchRows(
  logits: Float32Array,
  side: number,
  firstRow: number,
  rows: number,
  across: Axis,
  x0: number,
  width: number,
): Float32Array {
  const stretched = new Float32Array(rows * width);
  for (let x = 0; x < width; x++) {
    const cell = across.first[x0 + x]!;
    const c1 = Math.min(cell + 1, side - 1);
    const c2 = Math.min(cell + 2, side - 1);
    const w0 = across.weights[(x0 + x) * TAPS]!;
    const w1 = across.weights[(x0 + x) * TAPS + 1]!;
    const w2 = across.weights[(x0 + x) * TAPS + 2]!;
    for (let row = 0, i = firstRow * side; row < rows; row++, i += side) {
      stretched[row * width + x] = w0 * logits[i + cell]! + w1 * logits[i + c1]! + w2 * logits[i + c2]!;
    }
  }
  return stretched;
}

/** `length` cells are enlarged to `square`, of which the first `part` are enlarged (or shrunk) to `image`. */
function axisOf(length: number, square: number, part: number, image: number): Axis {
  const first = new Int32Array(image);
  const weights = new Float32Array(image * TAPS);
  for (let position = 0; position < image; position++) {
    const outer = neighbours(position, part, image);
    const near = neighbours(outer.index, length, square);
    const far = neighbours(outer.next, length, square);
    const start = near.index;
    first[position] = start;
    const add = (cell: number, weight: number): void => {
      weights[position * TAPS + cell - start]! += weight;
    };
    add(near.index, (1 - outer.share) * (1 - near.share));
    add(near.next, (1 - outer.share) * near.share);
    add(far.index, outer.share * (1 - far.share));
    add(far.next, outer.share * far.share);
  }
  return { first, weights };
}

/** Bilinear interpolation along one axis: the two source positions, and how much the second one counts. */
function neighbours(position: number, source: number, target: number): { index: number; next: number; share: number } {
  const at = Math.max(0, ((position + 0.5) * source) / target - 0.5);
  const index = Math.min(source - 1, Math.floor(at));
  return { index, next: Math.min(source - 1, index + 1), share: Math.min(1, at - index) };
}

/** The output positions, end exclusive, that any of the cells low..high counts for. */
function reach(axis: Axis, low: number, high: number): [number, number] {
  let from = 0;
  while (from < axis.first.length && axis.first[from]! + TAPS - 1 < low) from++;
  let to = axis.first.length;
  while (to > from && axis.first[to - 1]! > high) to--;
  return [from, to];
}

function boundsAbove(
  logits: Float32Array,
  side: number,
  threshold: number,
): { x0: number; x1: number; y0: number; y1: number } | null {
  let [x0, x1, y0, y1] = [side, -1, side, -1];
  for (let y = 0, i = 0; y < side; y++) {
    for (let x = 0; x < side; x++, i++) {
      if (logits[i]! <= threshold) continue;
      x0 = Math.min(x0, x);
      x1 = Math.max(x1, x);
      y0 = Math.min(y0, y);
      y1 = y;
    }
  }
  return x1 < 0 ? null : { x0, x1, y0, y1 };
}
