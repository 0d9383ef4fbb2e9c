/**
 * Masks as COCO's run lengths: pixels in column-major order, runs of 0 and 1 in turn, a run of 0 first.
 *
 * Row-major bitmaps hold one byte a pixel; a pixel is set where any of the asked bits is. `counts` strings are
 * byte for byte those of pycocotools.
 */

import type { Rle } from './api/types';
import { intersect, type Rect } from './editor/rect';

/** Run lengths of one mask. The counts are never changed once made, so that snapshots may share them. */
export interface Runs {
  readonly width: number;
  readonly height: number;
  readonly counts: Uint32Array;
}

export function emptyRuns(width: number, height: number): Runs {
  return { width, height, counts: Uint32Array.of(width * height) };
}

/**
 * Encode a row-major bitmap of width * height bytes.
 *
 * `within` bounds where set pixels may lie; what is outside counts as 0 and is not looked at.
 */
export function encode(bitmap: Uint8Array, width: number, height: number, bits = 0xff, within?: Rect): Runs {
  const area = intersect(within ?? { x: 0, y: 0, width, height }, { x: 0, y: 0, width, height });
  let counts = new Uint32Array(1024);
  let length = 0;
  let value = 0;
  let start = 0;
  const turn = (position: number): void => {
    if (length + 2 > counts.length) {
      const larger = new Uint32Array(counts.length * 2);
      larger.set(counts);
      counts = larger;
    }
    counts[length++] = position - start;
    start = position;
    value = 1 - value;
  };
  const bottom = area.y + area.height;
  for (let x = area.x; x < area.x + area.width; x++) {
    const column = x * height;
    if (value === 1 && area.y > 0) turn(column);
    for (let y = area.y, i = area.y * width + x; y < bottom; y++, i += width) {
      const set = (bitmap[i]! & bits) === 0 ? 0 : 1;
      if (set !== value) turn(column + y);
    }
    if (value === 1 && bottom < height) turn(column + bottom);
  }
  const end = width * height;
  if (value === 1 && area.x + area.width < width) turn((area.x + area.width) * height);
  counts[length++] = end - start;
  return { width, height, counts: counts.slice(0, length) };
}

/** Call `visit(x, y0, y1)` for every vertical stretch of set pixels, y1 exclusive, columns from left to right. */
export function forEachStretch(runs: Runs, visit: (x: number, y0: number, y1: number) => void, within?: Rect): void {
  const { height, counts } = runs;
  const first = (within?.x ?? 0) * height;
  const last = within === undefined ? runs.width * height : (within.x + within.width) * height;
  const top = within?.y ?? 0;
  const bottom = within === undefined ? height : within.y + within.height;
  let position = 0;
  for (let k = 0; k < counts.length; k++) {
    const end = position + counts[k]!;
    if (k % 2 === 1 && end > first) {
      let from = Math.max(position, first);
      const to = Math.min(end, last);
      while (from < to) {
        const x = Math.floor(from / height);
        const columnEnd = Math.min(to, (x + 1) * height);
        const y0 = Math.max(from - x * height, top);
        const y1 = Math.min(columnEnd - x * height, bottom);
        if (y0 < y1) visit(x, y0, y1);
        from = columnEnd;
      }
    }
    if (end >= last) return;
    position = end;
  }
}

/** Set `bits` in the bitmap wherever the runs are set. */
export function decodeInto(runs: Runs, bitmap: Uint8Array | Uint16Array, bits: number, within?: Rect): void {
  const { width } = runs;
  forEachStretch(
    runs,
    (x, y0, y1) => {
      for (let i = y0 * width + x, end = y1 * width + x; i < end; i += width) bitmap[i]! |= bits;
    },
    within,
  );
}

/** The row-major bitmap: width * height bytes of 0 and 1. */
export function decode(runs: Runs): Uint8Array {
  const bitmap = new Uint8Array(runs.width * runs.height);
  decodeInto(runs, bitmap, 1);
  return bitmap;
}

/** The row-major bitmap of a part only; the rectangle lies inside the mask. */
export function decodePart(runs: Runs, part: Rect): Uint8Array<ArrayBuffer> {
  const bitmap = new Uint8Array(part.width * part.height);
  forEachStretch(
    runs,
    (x, y0, y1) => {
      for (let y = y0; y < y1; y++) bitmap[(y - part.y) * part.width + x - part.x] = 1;
    },
    part,
  );
  return bitmap;
}

export function area(runs: Runs): number {
  let sum = 0;
  for (let k = 1; k < runs.counts.length; k += 2) sum += runs.counts[k]!;
  return sum;
}

export function isEmptyMask(runs: Runs): boolean {
  return area(runs) === 0;
}

/** The smallest rectangle around the set pixels; width and height 0 for an empty mask. */
export function bounds(runs: Runs): Rect {
  const { height, counts } = runs;
  let x0 = Infinity;
  let x1 = -1;
  let y0 = Infinity;
  let y1 = -1;
  let position = 0;
  for (let k = 0; k < counts.length; k++) {
    const end = position + counts[k]!;
    if (k % 2 === 1 && end > position) {
      const left = Math.floor(position / height);
      const right = Math.floor((end - 1) / height);
      x0 = Math.min(x0, left);
      x1 = right;
      y0 = right > left ? 0 : Math.min(y0, position - left * height);
      y1 = right > left ? height - 1 : Math.max(y1, end - 1 - right * height);
    }
    position = end;
  }
  return x1 < 0 ? { x: 0, y: 0, width: 0, height: 0 } : { x: x0, y: y0, width: x1 - x0 + 1, height: y1 - y0 + 1 };
}

export function isSet(runs: Runs, x: number, y: number): boolean {
  if (x < 0 || y < 0 || x >= runs.width || y >= runs.height) return false;
  let left = x * runs.height + y;
  for (let k = 0; k < runs.counts.length; k++) {
    left -= runs.counts[k]!;
    if (left < 0) return k % 2 === 1;
  }
  return false;
}

/** Both masks must be of one size. */
export function union(a: Runs, b: Runs): Runs {
  return combine(a, b, (inA, inB) => inA || inB);
}

/** `a` without the pixels of `b`. */
export function subtract(a: Runs, b: Runs): Runs {
  return combine(a, b, (inA, inB) => inA && !inB);
}

export function intersection(a: Runs, b: Runs): Runs {
  return combine(a, b, (inA, inB) => inA && inB);
}

function combine(a: Runs, b: Runs, keep: (inA: boolean, inB: boolean) => boolean): Runs {
  if (a.width !== b.width || a.height !== b.height) {
    throw new RangeError(`masks of ${a.width}x${a.height} and ${b.width}x${b.height} px cannot be combined`);
  }
  const total = a.width * a.height;
  const counts: number[] = [];
  let value = false;
  let start = 0;
  let position = 0;
  let [i, j] = [0, 0];
  let [endA, endB] = [a.counts[0] ?? total, b.counts[0] ?? total];
  while (position < total) {
    while (endA <= position && i + 1 < a.counts.length) endA += a.counts[++i]!;
    while (endB <= position && j + 1 < b.counts.length) endB += b.counts[++j]!;
    const now = keep(i % 2 === 1, j % 2 === 1);
    if (now !== value) {
      counts.push(position - start);
      start = position;
      value = now;
    }
    position = Math.min(endA, endB);
  }
  counts.push(total - start);
  return { width: a.width, height: a.height, counts: Uint32Array.from(counts) };
}

/** COCO's string: from the fourth count on, the difference to the count two before, in base 32 from character 48. */
export function toRle(runs: Runs): Rle {
  const bytes: number[] = [];
  const { counts } = runs;
  for (let k = 0; k < counts.length; k++) {
    let rest = k > 2 ? counts[k]! - counts[k - 2]! : counts[k]!;
    for (let more = true; more; ) {
      let digit = rest & 0x1f;
      rest >>= 5;
      more = (digit & 0x10) === 0 ? rest !== 0 : rest !== -1;
      if (more) digit |= 0x20;
      bytes.push(digit + 48);
    }
  }
  return { size: [runs.height, runs.width], counts: charactersOf(bytes) };
}

function charactersOf(bytes: number[]): string {
  let text = '';
  for (let k = 0; k < bytes.length; k += 8192) text += String.fromCharCode(...bytes.slice(k, k + 8192));
  return text;
}

/** Throws RangeError for a string that is cut off or whose runs do not fill the image. */
export function fromRle(rle: Rle): Runs {
  const [height, width] = rle.size;
  const counts: number[] = [];
  let sum = 0;
  for (let p = 0; p < rle.counts.length; ) {
    let value = 0;
    let shift = 0;
    let digit = 0;
    do {
      if (p >= rle.counts.length) throw new RangeError('the run lengths break off in the middle of a number');
      digit = rle.counts.charCodeAt(p++) - 48;
      value |= (digit & 0x1f) << shift;
      shift += 5;
    } while ((digit & 0x20) !== 0);
    if ((digit & 0x10) !== 0 && shift < 32) value |= -1 << shift;
    if (counts.length > 2) value += counts[counts.length - 2]!;
    if (value < 0) throw new RangeError(`run ${counts.length} is negative: ${value}`);
    counts.push(value);
    sum += value;
  }
  if (sum !== width * height) throw new RangeError(`runs cover ${sum} px, a ${width}x${height} image has ${width * height}`);
  return { width, height, counts: Uint32Array.from(counts) };
}
