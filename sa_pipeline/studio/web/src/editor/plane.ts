/** The mask that is being worked on, one byte a pixel at the image's full resolution. */

import type { MaskCrop } from '../decoder/enlargement';
import { bounds, decodeInto, encode, type Runs } from '../rle';
import { around, intersect, isEmpty, NOWHERE, type Rect } from './rect';

export const SET = 1;
/** A hand decided whether the pixel is set; SAM does not change it. */
export const BY_HAND = 2;

export class Plane {
  readonly pixels: Uint8Array<ArrayBuffer>;
  readonly picture: Rect;
  /** Every pixel that is set or decided by hand lies in here. */
  #used: Rect = NOWHERE;
  #byHand: Rect = NOWHERE;

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.pixels = new Uint8Array(width * height);
    this.picture = { x: 0, y: 0, width, height };
  }

  get used(): Rect {
    return this.#used;
  }

  /** Show this mask instead; returns the rectangle that may have changed. */
  load(mask: Runs | null, manual: Runs | null): Rect {
    const before = this.#used;
    this.#clear(before);
    this.#byHand = manual === null ? NOWHERE : bounds(manual);
    this.#used = NOWHERE;
    for (const [runs, bit] of [
      [mask, SET],
      [manual, BY_HAND],
    ] as const) {
      if (runs === null) continue;
      decodeInto(runs, this.pixels, bit);
      this.#used = around(this.#used, bounds(runs));
    }
    return around(before, this.#used);
  }

  /** By hand. The caller reports the rectangle it touched by `touched`. */
  paint(x: number, y: number, on: boolean): void {
    this.pixels[y * this.width + x] = on ? SET | BY_HAND : BY_HAND;
  }

  touched(rect: Rect): void {
    const inside = intersect(rect, this.picture);
    this.#byHand = around(this.#byHand, inside);
    this.#used = around(this.#used, inside);
  }

  /** SAM's answer, under what hands decided; returns the rectangle that may have changed. */
  answer(crop: MaskCrop): Rect {
    const area = around(this.#used, crop);
    for (let y = area.y; y < area.y + area.height; y++) {
      const inRow = y >= crop.y && y < crop.y + crop.height;
      for (let x = area.x, i = y * this.width + x; x < area.x + area.width; x++, i++) {
        if ((this.pixels[i]! & BY_HAND) !== 0) continue;
        const inside = inRow && x >= crop.x && x < crop.x + crop.width;
        this.pixels[i] = inside ? crop.pixels[(y - crop.y) * crop.width + x - crop.x]! : 0;
      }
    }
    this.#used = around(this.#byHand, crop);
    return area;
  }

  isSet(x: number, y: number): boolean {
    return x >= 0 && y >= 0 && x < this.width && y < this.height && (this.pixels[y * this.width + x]! & SET) !== 0;
  }

  runs(): Runs {
    return encode(this.pixels, this.width, this.height, SET, this.#used);
  }

  /** Null when no hand decided anything. */
  manual(): Runs | null {
    const runs = encode(this.pixels, this.width, this.height, BY_HAND, this.#used);
    return runs.counts.length > 1 ? runs : null;
  }

  #clear(rect: Rect): void {
    if (isEmpty(rect)) return;
    for (let y = rect.y; y < rect.y + rect.height; y++) {
      const row = y * this.width + rect.x;
      this.pixels.fill(0, row, row + rect.width);
    }
  }
}
