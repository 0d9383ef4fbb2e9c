/** The order of prominence: smaller numbers first, with gaps, so that moving one object seldom renumbers others. */

const GAP = 16;

/** For an object behind all others. */
export function behind(others: readonly number[]): number {
  return others.length === 0 ? 0 : Math.max(...others) + GAP;
}

/**
 * New numbers that move one entry of an ascending list (ties allowed) to another place.
 *
 * Returns the entries that change, by their place in the list: the moved one, and behind it no more than must give way.
 */
export function moved(numbers: readonly number[], from: number, to: number): Map<number, number> {
  const changed = new Map<number, number>();
  if (from === to) return changed;
  const rest = numbers.map((_, place) => place).filter((place) => place !== from);
  const ahead = to === 0 ? -1 : numbers[rest[to - 1]!]!;
  const next = rest[to];
  if (next === undefined) {
    changed.set(from, ahead + GAP);
    return changed;
  }
  const room = numbers[next]! - ahead;
  const own = room > 1 ? ahead + Math.floor(room / 2) : ahead + 1;
  changed.set(from, own);
  let last = own;
  for (let k = to; k < rest.length && numbers[rest[k]!]! <= last; k++) {
    last += 1;
    changed.set(rest[k]!, last);
  }
  return changed;
}
