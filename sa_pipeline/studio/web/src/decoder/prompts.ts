/** What a person asked for, as the decoder takes it. */

import type { Decode, Prompts } from '../api/types';
import { scaleOf, type Frame } from './frame';

export type Output = 0 | 1 | 2 | 3;

/** The three masks of an ambiguous prompt, by the paper's names (§3). */
export const GRANULARITY: Readonly<Record<1 | 2 | 3, string>> = { 1: 'subpart', 2: 'part', 3: 'whole' };

export interface DecoderPoints {
  readonly coords: Decode['point_coords'];
  readonly labels: Decode['point_labels'];
}

/** Points and box in px of the decoder's input; one padding point when there is no box, as SAM was trained. */
export function decoderPoints(prompts: Pick<Prompts, 'point_coords' | 'point_labels' | 'box'>, frame: Frame): DecoderPoints {
  const scale = scaleOf(frame);
  const coords: [number, number][] = prompts.point_coords.map(([x, y]) => [x * scale, y * scale]);
  const labels: Decode['point_labels'] = [...prompts.point_labels];
  if (prompts.box === null) {
    coords.push([0, 0]);
    labels.push(-1);
  } else {
    const [x0, y0, x1, y1] = prompts.box;
    coords.push([x0 * scale, y0 * scale], [x1 * scale, y1 * scale]);
    labels.push(2, 3);
  }
  return { coords, labels };
}

/** Whether the prompts leave open what is meant: one click and nothing else. */
export function isAmbiguous(prompts: Pick<Prompts, 'point_coords' | 'box'>, hasMaskInput: boolean): boolean {
  return prompts.point_coords.length === 1 && prompts.box === null && !hasMaskInput;
}

/** Output 0 for several prompts; for one click the best of the other three by predicted IoU. */
export function chooseOutput(ambiguous: boolean, predictedIou: readonly number[]): Output {
  if (!ambiguous) return 0;
  return ([1, 2, 3] as const).reduce<Output>((best, output) => (predictedIou[output]! > predictedIou[best]! ? output : best), 1);
}
