/** The brush: which pixels a stroke touches. Hard-edged: a pixel is touched or not, by its centre. */

import { intersect, type Rect } from './rect';
import type { Point } from './view';

export type BrushShape = 'round' | 'square';

export interface Brush {
  readonly shape: BrushShape;
  /** Diameter or side, whole px, at least 1. */
  readonly size: number;
}

export const MAX_BRUSH_SIZE = 400;

/**
 * The place in picture coordinates that a brush of this size is centred on for a pointer at `at`.
 *
 * Odd sizes lie on a pixel's centre and even ones on a corner, so that a dab is symmetric and never empty.
 */
export function snap(size: number, at: Point): [number, number] {
  return size % 2 === 1
    ? [Math.floor(at[0]) + 0.5, Math.floor(at[1]) + 0.5]
    : [Math.round(at[0]), Math.round(at[1])];
}

/**
 * Visit the pixels whose centre is within size / 2 of the segment from `from` to `to` (snapped, picture coordinates):
 * by Euclid's distance for the round brush, by the larger of both axes' for the square one.
 * Returns the rectangle that was looked at.
 */
export function forEachTouched(
  brush: Brush,
  from: Point,
  to: Point,
  picture: Rect,
  visit: (x: number, y: number) => void,
): Rect {
  const radius = brush.size / 2;
  const left = Math.floor(Math.min(from[0], to[0]) - radius);
  const top = Math.floor(Math.min(from[1], to[1]) - radius);
  const right = Math.ceil(Math.max(from[0], to[0]) + radius);
  const bottom = Math.ceil(Math.max(from[1], to[1]) + radius);
  const rect = intersect({ x: left, y: top, width: right - left, height: bottom - top }, picture);
  const touches = brush.shape === 'round' ? withinCapsule : withinSweptSquare;
  for (let y = rect.y; y < rect.y + rect.height; y++) {
    for (let x = rect.x; x < rect.x + rect.width; x++) {
      if (touches(x + 0.5, y + 0.5, from, to, radius)) visit(x, y);
    }
  }
  return rect;
}

// Snapped ends are multiples of a half, so that on a dab and on axis-parallel strokes the comparisons are exact;
// elsewhere this keeps rounding from deciding.
const ROUNDING = 1e-9;

function withinCapsule(x: number, y: number, from: Point, to: Point, radius: number): boolean {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - from[0]) * dx + (y - from[1]) * dy) / length));
  const [offX, offY] = [x - from[0] - along * dx, y - from[1] - along * dy];
  return offX * offX + offY * offY <= radius * radius + ROUNDING;
}

function withinSweptSquare(x: number, y: number, from: Point, to: Point, radius: number): boolean {
  let [first, last] = [0, 1];
  for (const [start, end, at] of [
    [from[0], to[0], x],
    [from[1], to[1], y],
  ] as const) {
    const step = end - start;
    if (step === 0) {
      if (Math.abs(at - start) > radius + ROUNDING) return false;
    } else {
      const [a, b] = [(at - radius - start) / step, (at + radius - start) / step];
      first = Math.max(first, Math.min(a, b));
      last = Math.min(last, Math.max(a, b));
    }
  }
  return first <= last + ROUNDING;
}
