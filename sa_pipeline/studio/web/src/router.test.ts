import fc from 'fast-check';
import { beforeAll, expect, test, vi } from 'vitest';

beforeAll(() => {
  vi.stubGlobal('location', { hash: '' });
});

test.each([
  ['', { page: 'home' }],
  ['#/tasks/next', { page: 'task', taskId: null }],
  ['#/tasks/12', { page: 'task', taskId: 12 }],
  ['#/reviews', { page: 'reviews' }],
  ['#/reviews/7', { page: 'review', taskId: 7 }],
  ['#/browse?label=cat', { page: 'browse' }],
  ['#/tasks/../7', { page: 'home' }],
])('%s is %o', async (hash, expected) => {
  const { routeOf } = await import('./router');
  expect(routeOf(hash)).toEqual(expected);
});

test('any hash leads to a page', async () => {
  const { routeOf } = await import('./router');
  fc.assert(fc.property(fc.string(), (hash) => routeOf(`#${hash}`).page.length > 0));
});
