/** Holes filled and islands dropped, as the automatic stage cleans its masks up (paper §4 and Appendix B). */

import { bounds, decodePart, encode, type Runs } from '../rle';
import { grow, intersect, isEmpty } from './rect';

/** Smaller holes and islands are noise, px. */
export const TIDY_AREA = 100;

export interface Bitmap {
  readonly width: number;
  readonly height: number;
  /** Row-major, width * height bytes of 0 and 1. */
  readonly pixels: Uint8Array;
}

/**
 * A copy in which background regions under `minArea` px are set and foreground regions under it are cleared.
 *
 * Regions are connected by sides and corners. The largest foreground region stays however small it is. Background that
 * reaches the bitmap's edge is a hole only if `edgeIsPictures` is set, since it may go on outside a crop.
 */
export function tidy(bitmap: Bitmap, minArea: number = TIDY_AREA, edgeIsPictures = false): Bitmap {
  const filled = bitmap.pixels.slice();
  for (const hole of regionsOf(bitmap, 0)) {
    if (hole.area < minArea && (edgeIsPictures || !hole.touchesEdge)) repaint(filled, hole, 1);
  }
  const dropped = { width: bitmap.width, height: bitmap.height, pixels: filled };
  const islands = regionsOf(dropped, 1);
  const largest = islands.reduce((most, island) => Math.max(most, island.area), 0);
  let kept = false;
  for (const island of islands) {
    const isLargest: boolean = !kept && island.area === largest;
    kept ||= isLargest;
    if (island.area < minArea && !isLargest) repaint(filled, island, 0);
  }
  return dropped;
}

/** The same for a whole mask. */
export function tidyRuns(runs: Runs, minArea: number = TIDY_AREA): Runs {
  const { width, height } = runs;
  const part = intersect(grow(bounds(runs), 1), { x: 0, y: 0, width, height });
  if (isEmpty(part)) return runs;
  const edgeIsPictures = part.width === width && part.height === height;
  const cleaned = tidy({ width: part.width, height: part.height, pixels: decodePart(runs, part) }, minArea, edgeIsPictures);
  const whole = new Uint8Array(width * height);
  for (let y = 0; y < part.height; y++) {
    whole.set(cleaned.pixels.subarray(y * part.width, (y + 1) * part.width), (part.y + y) * width + part.x);
  }
  return encode(whole, width, height, 1, part);
}

interface Region {
  readonly area: number;
  readonly touchesEdge: boolean;
  readonly members: Int32Array;
}

function repaint(pixels: Uint8Array, region: Region, value: 0 | 1): void {
  for (const i of region.members) pixels[i] = value;
}

/** The 8-connected regions of pixels with this value, found by flooding. */
function regionsOf({ width, height, pixels }: Bitmap, value: 0 | 1): Region[] {
  const seen = new Uint8Array(pixels.length);
  const queue = new Int32Array(pixels.length);
  const regions: Region[] = [];
  for (let seed = 0; seed < pixels.length; seed++) {
    if (seen[seed] === 1 || pixels[seed] !== value) continue;
    seen[seed] = 1;
    queue[0] = seed;
    let end = 1;
    let touchesEdge = false;
    for (let next = 0; next < end; next++) {
      const i = queue[next]!;
      const y = Math.floor(i / width);
      const x = i - y * width;
      touchesEdge ||= x === 0 || y === 0 || x === width - 1 || y === height - 1;
      for (let ny = Math.max(0, y - 1); ny <= Math.min(height - 1, y + 1); ny++) {
        for (let nx = Math.max(0, x - 1); nx <= Math.min(width - 1, x + 1); nx++) {
          const neighbour = ny * width + nx;
          if (seen[neighbour] === 1 || pixels[neighbour] !== value) continue;
          seen[neighbour] = 1;
          queue[end++] = neighbour;
        }
      }
    }
    regions.push({ area: end, touchesEdge, members: queue.slice(0, end) });
  }
  return regions;
}
