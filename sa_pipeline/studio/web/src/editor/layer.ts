/** A picture-sized RGBA image of masks, redrawn by rectangles. */

import { around, grow, intersect, isEmpty, NOWHERE, type Rect } from './rect';

export interface LayerStyle {
  readonly outlineOnly: boolean;
  /** Picture px. */
  readonly edge: number;
}

const SCREEN_EDGE = 1.4;
const MAX_EDGE = 6;

/** The width in picture px of an edge that is well seen at this scale (screen px per picture px). */
export function edgeFor(scale: number): number {
  return Math.min(MAX_EDGE, Math.max(1, Math.round(SCREEN_EDGE / scale)));
}

/**
 * Paints the pixels of one rectangle: `at(i)` gives the value of pixel i (0: nothing), two values that differ within
 * the edge's width of a pixel make it an edge, and `fill` and `line` give a value's packed colours.
 */
export class Layer {
  readonly canvas: OffscreenCanvas;
  readonly #context: OffscreenCanvasRenderingContext2D;
  readonly #picture: Rect;
  #dirty: Rect = NOWHERE;

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.canvas = new OffscreenCanvas(width, height);
    this.#context = this.canvas.getContext('2d')!;
    this.#picture = { x: 0, y: 0, width, height };
  }

  /** To be painted at the next `flush`. */
  invalidate(rect: Rect): void {
    this.#dirty = around(this.#dirty, intersect(rect, this.#picture));
  }

  invalidateAll(): void {
    this.#dirty = this.#picture;
  }

  /** Returns whether anything was painted. */
  flush(
    values: Uint8Array | Uint16Array,
    mask: number,
    fill: Uint32Array,
    line: Uint32Array,
    style: LayerStyle,
  ): boolean {
    if (isEmpty(this.#dirty)) return false;
    const rect = intersect(grow(this.#dirty, style.edge), this.#picture);
    this.#dirty = NOWHERE;
    const image = new ImageData(rect.width, rect.height);
    const words = new Uint32Array(image.data.buffer);
    paint(words, rect, values, mask, this.width, this.height, fill, line, style);
    this.#context.putImageData(image, rect.x, rect.y);
    return true;
  }
}

function paint(
  words: Uint32Array,
  rect: Rect,
  values: Uint8Array | Uint16Array,
  mask: number,
  width: number,
  height: number,
  fill: Uint32Array,
  line: Uint32Array,
  { outlineOnly, edge }: LayerStyle,
): void {
  const right = width - edge;
  const bottom = height - edge;
  const down = edge * width;
  for (let y = rect.y, out = 0; y < rect.y + rect.height; y++) {
    let i = y * width + rect.x;
    for (let x = rect.x; x < rect.x + rect.width; x++, i++, out++) {
      const value = values[i]! & mask;
      if (value === 0) continue;
      const onEdge =
        x < edge ||
        y < edge ||
        x >= right ||
        y >= bottom ||
        (values[i - edge]! & mask) !== value ||
        (values[i + edge]! & mask) !== value ||
        (values[i - down]! & mask) !== value ||
        (values[i + down]! & mask) !== value;
      if (onEdge) words[out] = line[value]!;
      else if (!outlineOnly) words[out] = fill[value]!;
    }
  }
}
