/** How the prompts of an object are put to SAM, and its answers put back. */

import type { Prompts } from '../api/types';
import type { MaskCrop } from '../decoder/enlargement';
import type { Frame } from '../decoder/frame';
import type { Decoding } from '../decoder/protocol';
import { seedOf } from '../decoder/seed';
import { bounds, decodePart, isEmptyMask, type Runs } from '../rle';
import type { Snapshot } from './document';
import type { Point } from './view';

export type Asked = Pick<Prompts, 'point_coords' | 'point_labels' | 'box'>;

export const NOTHING_ASKED: Prompts = { point_coords: [], point_labels: [], box: null, output: null, predicted_iou: null };

/** For benchmarks, as the browser's own tools show it. */
export function measure({ decodeMs, enlargeMs }: Decoding, arrived: number): void {
  performance.measure('studio:decode', { start: arrived - decodeMs - enlargeMs, duration: decodeMs });
  performance.measure('studio:enlarge', { start: arrived - enlargeMs, duration: enlargeMs });
}

export function withPoint(asked: Asked, pixel: Point, label: 0 | 1): Asked {
  return {
    box: asked.box,
    point_coords: [...asked.point_coords, [pixel[0], pixel[1]]],
    point_labels: [...asked.point_labels, label],
  };
}

export function maskInputOf(active: Snapshot, frame: Frame): Float32Array | null {
  return active.logits ?? seedOrNull(active.runs, frame);
}

export function seedOrNull(runs: Runs | null, frame: Frame): Float32Array | null {
  return runs === null || isEmptyMask(runs) ? null : seedOf(runs, frame);
}

/** A whole mask in the form of SAM's answers. */
export function cropOf(runs: Runs | null): MaskCrop {
  if (runs === null) return { x: 0, y: 0, width: 0, height: 0, pixels: new Uint8Array(0) };
  const part = bounds(runs);
  return { ...part, pixels: decodePart(runs, part) };
}

export function rounded(predictedIou: number): number {
  return Math.round(predictedIou * 10_000) / 10_000;
}
