/**
 * All masks that lie still, in one layer: for each pixel the object that is seen there. A frame draws this one layer
 * however many masks there are; a mask that changes redraws its own rectangle.
 */

import { area, bounds, forEachStretch, type Runs } from '../rle';
import { packed, type Colour } from './colours';
import { Layer, type LayerStyle } from './layer';
import { around, intersect, isEmpty, NOWHERE, type Rect } from './rect';

interface Item {
  readonly id: string;
  /** Its number in the map of what is seen. */
  readonly slot: number;
  readonly runs: Runs;
  readonly bounds: Rect;
  readonly area: number;
}

const MAX_SLOTS = 65_535;
const FILL_ALPHA = 0.5;

export class Composite {
  readonly layer: Layer;
  readonly #seen: Uint16Array;
  readonly #items = new Map<string, Item>();
  readonly #slots = new Map<string, number>();
  readonly #owners: (string | null)[] = [null];
  readonly #fill = new Uint32Array(MAX_SLOTS + 1);
  readonly #line = new Uint32Array(MAX_SLOTS + 1);
  /** Large ones first, so that small ones lie on top and can be seen and picked. */
  #stack: Item[] | null = [];
  #stale: Rect = NOWHERE;

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.layer = new Layer(width, height);
    this.#seen = new Uint16Array(width * height);
  }

  /** Show this mask for the object, or nothing. */
  show(id: string, runs: Runs | null, colour: Colour): void {
    const before = this.#items.get(id);
    if (before?.runs === runs || (before === undefined && runs === null)) return;
    if (before !== undefined) {
      this.#items.delete(id);
      this.#stale = around(this.#stale, before.bounds);
    }
    if (runs !== null) {
      const item = { id, slot: this.#slotOf(id), runs, bounds: bounds(runs), area: area(runs) };
      this.#fill[item.slot] = packed(colour, FILL_ALPHA);
      this.#line[item.slot] = packed(colour, 1);
      this.#items.set(id, item);
      this.#stale = around(this.#stale, item.bounds);
    }
    this.#stack = null;
  }

  /** Bring the layer up to date; returns whether it changed. */
  flush(style: LayerStyle): boolean {
    if (!isEmpty(this.#stale)) {
      this.#restack(this.#stale);
      this.layer.invalidate(this.#stale);
      this.#stale = NOWHERE;
    }
    return this.layer.flush(this.#seen, 0xffff, this.#fill, this.#line, style);
  }

  /** The object that is seen at a pixel. */
  at(x: number, y: number): string | null {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return null;
    return this.#owners[this.#seen[y * this.width + x]!] ?? null;
  }

  #restack(rect: Rect): void {
    const { width } = this;
    const seen = this.#seen;
    for (let y = rect.y; y < rect.y + rect.height; y++) {
      seen.fill(0, y * width + rect.x, y * width + rect.x + rect.width);
    }
    this.#stack ??= [...this.#items.values()].sort((a, b) => b.area - a.area);
    for (const item of this.#stack) {
      const part = intersect(item.bounds, rect);
      if (isEmpty(part)) continue;
      const { slot } = item;
      forEachStretch(
        item.runs,
        (x, y0, y1) => {
          for (let i = y0 * width + x, end = y1 * width + x; i < end; i += width) seen[i] = slot;
        },
        part,
      );
    }
  }

  #slotOf(id: string): number {
    let slot = this.#slots.get(id);
    if (slot === undefined) {
      slot = this.#owners.length;
      if (slot > MAX_SLOTS) throw new RangeError(`more than ${MAX_SLOTS} objects on one picture`);
      this.#owners.push(id);
      this.#slots.set(id, slot);
    }
    return slot;
  }
}
