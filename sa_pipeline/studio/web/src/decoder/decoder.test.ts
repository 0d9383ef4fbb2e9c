import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { area, decode, encode, fromRle, isSet } from '../rle';
import { enlarge } from './enlargement';
import fixtures from './enlargement.fixtures.json';
import { fromFloat16, fromFloat16ByTable } from './float16';
import { heeds, withClicks } from './heeding';
import { chooseOutput, decoderPoints, isAmbiguous } from './prompts';
import { fit, seedOf, seedOfBox } from './seed';

describe('enlargement', () => {
  it.each(fixtures)('of a $width x $height image gives the mask that torch gives', (fixture) => {
    const { width, height, counts, logits } = fixture;
    const crop = enlarge(Float32Array.from(logits), fixture, 0);
    const whole = new Uint8Array(width * height);
    for (let y = 0; y < crop.height; y++) {
      whole.set(crop.pixels.subarray(y * crop.width, (y + 1) * crop.width), (crop.y + y) * width + crop.x);
    }
    expect(whole).toEqual(decode(fromRle({ size: [height, width], counts })));
  });

  it('of logits below the threshold is empty', () => {
    const crop = enlarge(new Float32Array(64).fill(-1), { width: 30, height: 20, imageSize: 32, lowResSide: 8 }, 0);
    expect([crop.width, crop.height]).toEqual([0, 0]);
  });
});

describe('a seed', () => {
  it('enlarged again covers nearly what the mask covered', () => {
    const frame = { width: 300, height: 200, imageSize: 256, lowResSide: 64 };
    const bitmap = new Uint8Array(300 * 200);
    for (let y = 0; y < 200; y++) for (let x = 0; x < 300; x++) if (Math.hypot(x - 120, y - 90) < 60) bitmap[y * 300 + x] = 1;
    const runs = encode(bitmap, 300, 200);
    const crop = enlarge(seedOf(runs, frame), frame, 0);
    let [both, either] = [0, area(runs)];
    for (let i = 0; i < crop.pixels.length; i++) {
      if (crop.pixels[i] === 0) continue;
      if (isSet(runs, crop.x + (i % crop.width), crop.y + Math.floor(i / crop.width))) both++;
      else either++;
    }
    expect(both / either).toBeGreaterThan(0.95);
  });

  it('is sure of each cell, and of nothing outside the image', () => {
    const frame = { width: 64, height: 32, imageSize: 64, lowResSide: 16 };
    const seed = seedOf(encode(new Uint8Array(64 * 32).fill(1), 64, 32), frame);
    expect([...seed]).toEqual(Array.from({ length: 256 }, (_, i) => (i < 128 ? 10 : -10)));
  });
});

describe('a box', () => {
  it('as a mask enlarges to about itself, and an answer elsewhere does not fit it', () => {
    const frame = { width: 300, height: 200, imageSize: 256, lowResSide: 64 };
    const box = [40, 30, 199, 149] as const;
    const crop = enlarge(seedOfBox(box, frame), frame, 0);
    expect(fit(crop, box)).toBeGreaterThan(0.93);
    expect(fit(crop, [210, 30, 290, 149])).toBe(0);
    expect(fit({ ...crop, pixels: new Uint8Array(crop.pixels.length) }, box)).toBe(0);
  });
});

describe('clicks', () => {
  const frame = { width: 300, height: 200, imageSize: 256, lowResSide: 64 };
  const clicks = { point_coords: [[60, 50], [200, 120]] as [number, number][], point_labels: [1, 0] as (0 | 1)[] };
  const everything = enlarge(new Float32Array(64 * 64).fill(1), frame, 0);

  it('are heeded by a mask that has the first and not the second', () => {
    expect(heeds(everything, clicks)).toBe(false);
    expect(heeds(everything, { ...clicks, point_labels: [1, 1] })).toBe(true);
    expect(heeds({ x: 50, y: 40, width: 20, height: 20, pixels: new Uint8Array(400).fill(1) }, clicks)).toBe(true);
    expect(heeds({ x: 0, y: 0, width: 0, height: 0, pixels: new Uint8Array(0) }, clicks)).toBe(false);
  });

  it('put into the logits before are heeded by these', () => {
    const mended = enlarge(withClicks(new Float32Array(64 * 64).fill(1), clicks, frame), frame, 0);
    expect(heeds(mended, clicks)).toBe(true);
    expect(heeds(enlarge(withClicks(new Float32Array(64 * 64).fill(-1), clicks, frame), frame, 0), clicks)).toBe(true);
  });
});

describe('half precision', () => {
  it('is read exactly, with or without the browser\'s help', () => {
    const bits = Uint16Array.of(0, 0x8000, 0x3c00, 0xbc00, 0x0001, 0x03ff, 0x7bff, 0x7c00, 0x3555);
    const values = [0, -0, 1, -1, 2 ** -24, 1023 * 2 ** -24, 65504, Infinity, 0.333251953125];
    expect([...fromFloat16ByTable(bits)]).toEqual(values);
    expect([...fromFloat16(bits)]).toEqual(values);
  });
});

describe('prompts', () => {
  const frame = { width: 200, height: 100, imageSize: 50, lowResSide: 16 };

  it('are scaled to the decoder\'s input and padded when there is no box', () => {
    expect(decoderPoints({ point_coords: [[100, 40]], point_labels: [0], box: null }, frame)).toEqual({
      coords: [[25, 10], [0, 0]],
      labels: [0, -1],
    });
    expect(decoderPoints({ point_coords: [], point_labels: [], box: [4, 8, 40, 80] }, frame)).toEqual({
      coords: [[1, 2], [10, 20]],
      labels: [2, 3],
    });
  });

  it('are ambiguous for one click only, and then the best of three is taken', () => {
    expect(isAmbiguous({ point_coords: [[1, 1]], box: null }, false)).toBe(true);
    expect(isAmbiguous({ point_coords: [[1, 1]], box: null }, true)).toBe(false);
    expect(isAmbiguous({ point_coords: [[1, 1], [2, 2]], box: null }, false)).toBe(false);
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 4, maxLength: 4 }), (predicted) => {
        expect(predicted[chooseOutput(true, predicted)]).toBe(Math.max(...predicted.slice(1)));
        expect(chooseOutput(false, predicted)).toBe(0);
      }),
    );
  });
});
