import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import fixtures from './rle.fixtures.json';
import { area, bounds, decode, decodePart, encode, fromRle, intersection, isSet, subtract, toRle, union } from './rle';

const bitmaps = fc
  .tuple(fc.integer({ min: 1, max: 23 }), fc.integer({ min: 1, max: 17 }))
  .chain(([width, height]) =>
    fc.record({
      width: fc.constant(width),
      height: fc.constant(height),
      pixels: fc
        .array(fc.constantFrom(0, 1), { minLength: width * height, maxLength: width * height })
        .map((values) => Uint8Array.from(values)),
    }),
  );

describe('against pycocotools', () => {
  it.each(fixtures)('$name', ({ height, width, pixels, counts, area: expected }) => {
    const bitmap = Uint8Array.from(pixels, Number);
    expect(toRle(encode(bitmap, width, height))).toEqual({ size: [height, width], counts });
    const runs = fromRle({ size: [height, width], counts });
    expect(decode(runs)).toEqual(bitmap);
    expect(area(runs)).toBe(expected);
  });
});

describe('any mask', () => {
  it('comes back from its string as it was', () => {
    fc.assert(
      fc.property(bitmaps, ({ width, height, pixels }) => {
        expect(decode(fromRle(toRle(encode(pixels, width, height))))).toEqual(pixels);
      }),
    );
  });

  it('has the bounds and the pixels that a plain search finds', () => {
    fc.assert(
      fc.property(bitmaps, ({ width, height, pixels }) => {
        const runs = encode(pixels, width, height);
        const set = [...pixels.keys()].filter((i) => pixels[i] === 1);
        const xs = set.map((i) => i % width);
        const ys = set.map((i) => Math.floor(i / width));
        const [x, y] = [Math.min(...xs), Math.min(...ys)];
        const box =
          set.length === 0
            ? { x: 0, y: 0, width: 0, height: 0 }
            : { x, y, width: Math.max(...xs) - x + 1, height: Math.max(...ys) - y + 1 };
        expect(bounds(runs)).toEqual(box);
        expect(encode(pixels, width, height, 1, box)).toEqual(runs);
        expect([...pixels.keys()].filter((i) => isSet(runs, i % width, Math.floor(i / width)))).toEqual(set);
        const part = decodePart(runs, box);
        expect([...part.keys()].filter((i) => part[i] === 1).map((i) => (y + Math.floor(i / box.width)) * width + x + (i % box.width))).toEqual(set);
      }),
    );
  });

  it('combines with another as their pixels do', () => {
    const pairs = bitmaps.chain((first) => fc.tuple(fc.constant(first), fc.constantFrom(...rolled(first.pixels))));
    fc.assert(
      fc.property(pairs, ([{ width, height, pixels }, other]) => {
        const a = encode(pixels, width, height);
        const b = encode(other, width, height);
        expect(decode(union(a, b))).toEqual(pixels.map((value, i) => value | other[i]!));
        expect(decode(intersection(a, b))).toEqual(pixels.map((value, i) => value & other[i]!));
        expect(decode(subtract(a, b))).toEqual(pixels.map((value, i) => value & ~other[i]! & 1));
      }),
    );
  });
});

function rolled(pixels: Uint8Array): Uint8Array[] {
  return [1, 2, 7].map((by) => pixels.map((_, i) => pixels[(i + by) % pixels.length]!));
}

it('refuses a string that breaks off, and runs that do not fill the image', () => {
  expect(() => fromRle({ size: [3, 5], counts: 'o' })).toThrow(/break off/);
  expect(() => fromRle({ size: [3, 5], counts: '>' })).toThrow('runs cover 14 px, a 5x3 image has 15');
});
