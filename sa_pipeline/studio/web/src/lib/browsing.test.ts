import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { MaskSource } from '../api/types';
import { addressOf, filtersOf, NO_FILTERS, queryOf } from './browsing';

const filters = fc.record({
  source: fc.constantFrom<MaskSource>('automatic', 'prefilled', 'human'),
  label: fc.string(),
  min_predicted_iou: fc.constantFrom('', '0.88'),
  min_stability_score: fc.constantFrom('', '0.95'),
  min_area: fc.constantFrom('', '100'),
  max_area: fc.constantFrom('', '20000'),
  annotator: fc.string(),
  round: fc.string(),
});

test('filters survive their address', () => {
  fc.assert(
    fc.property(filters, (chosen) => {
      const address = addressOf(chosen);
      expect(filtersOf(new URLSearchParams(address.split('?').slice(1).join('?')))).toEqual(chosen);
    }),
  );
});

test('an address with nonsense is the page without filters', () => {
  expect(filtersOf(new URLSearchParams('source=secret&colour=red'))).toEqual(NO_FILTERS);
});

test('the server is not asked for what automatic masks do not have', () => {
  const chosen = { ...NO_FILTERS, label: 'cat', min_predicted_iou: '0.9' };
  expect(queryOf(chosen)).toEqual({ source: 'automatic', min_predicted_iou: '0.9' });
  expect(queryOf({ ...chosen, source: 'human' })).toEqual({ source: 'human', label: 'cat', min_predicted_iou: '0.9' });
});
