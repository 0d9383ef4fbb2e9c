import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { forEachTouched, snap, type Brush } from './brush';
import { Plane } from './plane';
import { forEachInside } from './polygon';
import { tidy } from './tidy';

const PICTURE = { x: 0, y: 0, width: 40, height: 30 };

function drawn(brush: Brush, from: readonly [number, number], to: readonly [number, number]): string[] {
  const touched: string[] = [];
  forEachTouched(brush, snap(brush.size, from), snap(brush.size, to), PICTURE, (x, y) => touched.push(`${x},${y}`));
  return touched.sort();
}

/** Which pixel centres are near enough, found by looking at many places along the stroke. */
function searched(brush: Brush, from: readonly [number, number], to: readonly [number, number]): string[] {
  const [a, b] = [snap(brush.size, from), snap(brush.size, to)];
  const found: string[] = [];
  for (let y = 0; y < PICTURE.height; y++) {
    for (let x = 0; x < PICTURE.width; x++) {
      const distance = (t: number): number => {
        const [dx, dy] = [a[0] + t * (b[0] - a[0]) - x - 0.5, a[1] + t * (b[1] - a[1]) - y - 0.5];
        return brush.shape === 'round' ? Math.hypot(dx, dy) : Math.max(Math.abs(dx), Math.abs(dy));
      };
      // Distance to a point that moves along a line is convex, so that thirds close in on its least.
      let [low, high] = [0, 1];
      for (let k = 0; k < 80; k++) {
        const third = (high - low) / 3;
        if (distance(low + third) <= distance(high - third)) high -= third;
        else low += third;
      }
      if (Math.min(distance(low), distance(0), distance(1)) <= brush.size / 2 + 1e-10) found.push(`${x},${y}`);
    }
  }
  return found.sort();
}

describe('the brush', () => {
  it('of one px sets the pixel under the pointer', () => {
    for (const shape of ['round', 'square'] as const) {
      expect(drawn({ shape, size: 1 }, [7.9, 3.1], [7.9, 3.1])).toEqual(['7,3']);
    }
  });

  it('round of three px sets nine, of two px the four around a corner, of five px all but the corners', () => {
    expect(drawn({ shape: 'round', size: 3 }, [5.5, 5.5], [5.5, 5.5])).toHaveLength(9);
    expect(drawn({ shape: 'round', size: 2 }, [5.1, 5.1], [5.1, 5.1])).toEqual(['4,4', '4,5', '5,4', '5,5']);
    expect(drawn({ shape: 'round', size: 5 }, [5.5, 5.5], [5.5, 5.5])).toHaveLength(21);
  });

  it('touches exactly the pixels whose centre is within its radius of the stroke', () => {
    const place = fc.tuple(fc.double({ min: -5, max: 45, noNaN: true }), fc.double({ min: -5, max: 35, noNaN: true }));
    fc.assert(
      fc.property(fc.constantFrom('round' as const, 'square' as const), fc.integer({ min: 1, max: 12 }), place, place, (shape, size, from, to) => {
        expect(drawn({ shape, size }, from, to)).toEqual(searched({ shape, size }, from, to));
      }),
      { numRuns: 60 },
    );
  });
});

describe('a polygon', () => {
  const area = (vertices: [number, number][]): Set<string> => {
    const inside = new Set<string>();
    forEachInside(vertices, PICTURE, (x, y) => inside.add(`${x},${y}`));
    return inside;
  };

  it('covers the pixels whose centres it holds', () => {
    expect([...area([[2, 2], [4, 2], [4, 3], [2, 3]])].sort()).toEqual(['2,2', '3,2']);
    expect(area([[0, 0], [10, 0]]).size).toBe(0);
  });

  it('shares no pixel with the one beyond a common edge, and leaves none out', () => {
    const corner = fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 30 }));
    fc.assert(
      fc.property(corner, corner, ([x0, y0], [x1, y1]) => {
        fc.pre(x0 !== x1);
        // The line between the two cuts the picture into an upper and a lower part.
        const at = (x: number): number => y0 + ((y1 - y0) * (x - x0)) / (x1 - x0);
        const upper = area([[0, -2000], [40, -2000], [40, at(40)], [0, at(0)]]);
        const lower = area([[0, 2000], [40, 2000], [40, at(40)], [0, at(0)]]);
        expect(upper.size + lower.size).toBe(1200);
        expect([...upper].filter((pixel) => lower.has(pixel))).toEqual([]);
      }),
    );
  });
});

describe('tidying', () => {
  const bitmap = (...rows: string[]): { width: number; height: number; pixels: Uint8Array } => ({
    width: rows[0]!.length,
    height: rows.length,
    pixels: Uint8Array.from(rows.join(''), (character) => (character === '#' ? 1 : 0)),
  });
  const shown = ({ width, height, pixels }: ReturnType<typeof bitmap>): string[] =>
    Array.from({ length: height }, (_, y) => [...pixels.subarray(y * width, (y + 1) * width)].map((value) => '.#'[value]).join(''));

  it('fills small holes, drops small islands and leaves large ones', () => {
    const before = bitmap(
      '............',
      '.#######..#.',
      '.#.###.#....',
      '.#######....',
      '.#..####....',
      '.#..####.##.',
      '.#######.##.',
      '............',
    );
    expect(shown(tidy(before, 4))).toEqual([
      '............',
      '.#######....',
      '.#######....',
      '.#######....',
      '.#..####....',
      '.#..####.##.',
      '.#######.##.',
      '............',
    ]);
  });

  it('keeps the largest island however small it is', () => {
    expect(shown(tidy(bitmap('.....', '.#.##', '.....'), 100))).toEqual(['.....', '...##', '.....']);
  });

  it('takes background at the edge for a hole only where the picture ends', () => {
    const corner = bitmap('.###', '####', '####');
    expect(shown(tidy(corner, 5, false))[0]).toBe('.###');
    expect(shown(tidy(corner, 5, true))[0]).toBe('####');
  });

  it('done twice is done once', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 96, maxLength: 96 }), (bits) => {
        const once = tidy({ width: 12, height: 8, pixels: Uint8Array.from(bits, Number) }, 5, true);
        expect(tidy(once, 5, true)).toEqual(once);
      }),
    );
  });
});

describe('the plane', () => {
  const crop = (x: number, y: number, width: number, height: number): Parameters<Plane['answer']>[0] => ({
    x,
    y,
    width,
    height,
    pixels: new Uint8Array(width * height).fill(1),
  });
  const count = (plane: Plane): number => {
    let set = 0;
    for (let y = 0; y < 30; y++) for (let x = 0; x < 40; x++) if (plane.isSet(x, y)) set++;
    return set;
  };

  it('keeps what hands painted and erased through later answers of SAM', () => {
    const plane = new Plane(40, 30);
    plane.answer(crop(5, 5, 10, 10));
    plane.paint(30, 20, true);
    plane.paint(6, 6, false);
    plane.touched({ x: 6, y: 6, width: 25, height: 15 });
    plane.answer(crop(4, 4, 12, 12));
    expect([plane.isSet(30, 20), plane.isSet(6, 6), plane.isSet(4, 4), count(plane)]).toEqual([true, false, true, 144]);
    plane.answer(crop(0, 0, 2, 2));
    expect([plane.isSet(30, 20), plane.isSet(6, 6), count(plane)]).toEqual([true, false, 5]);
  });

  it('comes back as it was from its run lengths', () => {
    const plane = new Plane(40, 30);
    plane.answer(crop(5, 5, 10, 10));
    for (let x = 2; x < 20; x++) plane.paint(x, 8, x % 3 === 0);
    plane.touched({ x: 2, y: 8, width: 18, height: 1 });
    const copy = new Plane(40, 30);
    copy.answer(crop(20, 20, 10, 9));
    copy.load(plane.runs(), plane.manual());
    expect(copy.pixels).toEqual(plane.pixels);
  });
});
