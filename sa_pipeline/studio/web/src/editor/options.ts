/** How a person likes to work; kept in this browser from picture to picture. */

import { get, writable, type Writable } from 'svelte/store';
import type { BrushShape } from './brush';
import { MAX_BRUSH_SIZE } from './brush';

export type ToolName =
  | 'sam'
  | 'box'
  | 'brush'
  | 'eraser'
  | 'polygon-add'
  | 'polygon-cut'
  | 'select'
  | 'pin'
  | 'unclear';

export interface Options {
  readonly tool: ToolName;
  readonly brushSize: number;
  readonly brushShape: BrushShape;
  /** Of masks, 0..1. */
  readonly opacity: number;
  /** Of the picture; 1: as it is. */
  readonly brightness: number;
  readonly contrast: number;
  readonly outlineOnly: boolean;
  readonly noOverlap: boolean;
  readonly hoverPreview: boolean;
}

const KEY = 'studio.editor';

export const DEFAULTS: Options = {
  tool: 'sam',
  brushSize: 21,
  brushShape: 'round',
  opacity: 0.85,
  brightness: 1,
  contrast: 1,
  outlineOnly: false,
  noOverlap: false,
  hoverPreview: true,
};

export function loadOptions(): Writable<Options> {
  const options = writable<Options>({ ...DEFAULTS, ...stored(), tool: 'sam' });
  options.subscribe((value) => localStorage.setItem(KEY, JSON.stringify(value)));
  return options;
}

function stored(): Partial<Options> {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Options>;
  } catch {
    return {};
  }
}

export function change(options: Writable<Options>, what: Partial<Options>): void {
  options.update((before) => ({ ...before, ...what }));
}

/** One step of the keys or the wheel: one px while small, a tenth when large. */
export function stepBrush(options: Writable<Options>, direction: 1 | -1): void {
  const { brushSize } = get(options);
  const step = Math.max(1, Math.round(brushSize / 10));
  change(options, { brushSize: Math.min(MAX_BRUSH_SIZE, Math.max(1, brushSize + direction * step)) });
}
