/** The pixels inside a polygon. */

import { intersect, type Rect } from './rect';
import type { Point } from './view';

/**
 * Visit every pixel whose centre lies inside the closed polygon (even-odd rule; vertices in picture coordinates).
 * Two polygons that share an edge share no pixel. Returns the rectangle that was looked at.
 */
export function forEachInside(vertices: readonly Point[], picture: Rect, visit: (x: number, y: number) => void): Rect {
  const xs = vertices.map((vertex) => vertex[0]);
  const ys = vertices.map((vertex) => vertex[1]);
  const left = Math.floor(Math.min(...xs));
  const top = Math.floor(Math.min(...ys));
  const hull = { x: left, y: top, width: Math.ceil(Math.max(...xs)) - left, height: Math.ceil(Math.max(...ys)) - top };
  const rect = vertices.length < 3 ? { x: 0, y: 0, width: 0, height: 0 } : intersect(hull, picture);
  for (let y = rect.y; y < rect.y + rect.height; y++) {
    const crossings = crossingsOf(vertices, y + 0.5);
    for (let k = 0; k + 1 < crossings.length; k += 2) {
      const from = Math.max(rect.x, Math.ceil(crossings[k]! - 0.5));
      const to = Math.min(rect.x + rect.width, Math.ceil(crossings[k + 1]! - 0.5));
      for (let x = from; x < to; x++) visit(x, y);
    }
  }
  return rect;
}

function crossingsOf(vertices: readonly Point[], y: number): number[] {
  const crossings: number[] = [];
  for (let k = 0; k < vertices.length; k++) {
    const a = vertices[k]!;
    const b = vertices[(k + 1) % vertices.length]!;
    if (a[1] <= y !== b[1] <= y) crossings.push(a[0] + ((y - a[1]) / (b[1] - a[1])) * (b[0] - a[0]));
  }
  return crossings.sort((first, second) => first - second);
}
