import { expect, test } from 'vitest';
import { duration, percent, plural } from './format';

test.each([
  [null, '–'],
  [0, '0 s'],
  [14.4, '14 s'],
  [99.4, '99 s'],
  [100, '2 min'],
  [3600, '1 h 00 min'],
  [11_100, '3 h 05 min'],
])('%s seconds are %s', (seconds, text) => expect(duration(seconds)).toBe(text));

test('numbers read as words do', () => {
  expect(plural(1, 'mask')).toBe('1 mask');
  expect(plural(1200, 'mask')).toBe('1,200 masks');
  expect(percent(0.946)).toBe('95 %');
});
