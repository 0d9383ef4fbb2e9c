import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Event as TaskEvent, ObjectState } from '../api/types';
import { decode, encode } from '../rle';
import { ActiveClock } from './clock';
import { edited, TaskDocument, unborn } from './document';
import { behind, moved } from './prominence';
import { commandOf, SHORTCUTS, type KeyPress } from './shortcuts';

const [WIDTH, HEIGHT] = [6, 5];
const mask = (seed: number): ReturnType<typeof encode> =>
  encode(Uint8Array.from({ length: WIDTH * HEIGHT }, (_, i) => ((i * 7 + seed) % 5 === 0 ? 1 : 0)), WIDTH, HEIGHT);

function opened(states: ObjectState[] = []): { document: TaskDocument; events: TaskEvent[]; states: () => ObjectState[] } {
  const events: TaskEvent[] = [];
  const document = new TaskDocument(states, (event) => events.push(event), { now: () => 1000, takeActiveSeconds: () => 1 });
  return { document, events, states: () => document.objects().map(({ state }) => state) };
}

type Action =
  | { kind: 'make'; seed: number }
  | { kind: 'paint' | 'delete' | 'label'; at: number; seed: number }
  | { kind: 'move'; at: number; to: number };

const actions: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ kind: fc.constant('make' as const), seed: fc.nat(9) }),
  fc.record({ kind: fc.constantFrom('paint' as const, 'delete' as const, 'label' as const), at: fc.nat(5), seed: fc.nat(9) }),
  fc.record({ kind: fc.constant('move' as const), at: fc.nat(5), to: fc.nat(5) }),
);

function act(document: TaskDocument, action: Action): void {
  const objects = document.objects();
  if (action.kind === 'make') {
    const fresh = unborn(crypto.randomUUID(), behind(objects.map(({ state }) => state.prominence)));
    return document.commit('brush', [edited(fresh, { runs: mask(action.seed) })]);
  }
  const object = objects[action.at % Math.max(1, objects.length)];
  if (object === undefined) return;
  if (action.kind === 'move') {
    const numbers = moved(objects.map(({ state }) => state.prominence), action.at % objects.length, action.to % objects.length);
    document.commit('order', [...numbers].map(([k, prominence]) => edited(objects[k]!, { state: { prominence } })));
  } else if (action.kind === 'paint') document.commit('brush', [edited(object, { runs: mask(action.seed) })]);
  else if (action.kind === 'delete') document.commit('delete', [edited(object, { state: { deleted: true } })]);
  else document.commit('label', [edited(object, { state: { label: `name ${action.seed}` } })]);
}

describe('history', () => {
  it('goes back through every state and forward again, masks, labels and order', () => {
    fc.assert(
      fc.property(fc.array(actions, { maxLength: 25 }), (list) => {
        const { document, states } = opened();
        const seen = [states()];
        for (const action of list) {
          const steps = document.canUndo;
          act(document, action);
          if (document.canUndo || steps) seen.push(states());
        }
        const distinct = seen.filter((state, k) => k === 0 || JSON.stringify(state) !== JSON.stringify(seen[k - 1]));
        const back = [states()];
        while (document.undo() !== null) back.push(states());
        expect(back.filter((state, k) => k === 0 || JSON.stringify(state) !== JSON.stringify(back[k - 1])).reverse()).toEqual(distinct);
        while (document.redo() !== null);
        expect(states()).toEqual(seen.at(-1));
      }),
    );
  });

  it('tells the log of every change, so that replaying the events gives the same objects', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(actions, fc.constantFrom('undo' as const, 'redo' as const)), { maxLength: 25 }), (list) => {
        const { document, events, states } = opened();
        for (const action of list) {
          if (action === 'undo') document.undo();
          else if (action === 'redo') document.redo();
          else act(document, action);
        }
        const replayed = new Map(events.map((event) => [event.object.object_id, event.object]));
        const living = [...replayed.values()].filter((object) => !object.deleted).sort((a, b) => a.prominence - b.prominence);
        expect(living).toEqual(states());
        expect(new Set(events.map((event) => event.op_id)).size).toBe(events.length);
      }),
    );
  });

  it('forgets what was undone when something new is done', () => {
    const { document, states } = opened();
    act(document, { kind: 'make', seed: 1 });
    act(document, { kind: 'label', at: 0, seed: 2 });
    document.undo();
    act(document, { kind: 'label', at: 0, seed: 3 });
    expect(document.redo()).toBeNull();
    expect(states()[0]?.label).toBe('name 3');
  });

  it('gives an object that comes back its mask, and its place', () => {
    const { document, states, events } = opened();
    act(document, { kind: 'make', seed: 1 });
    act(document, { kind: 'make', seed: 2 });
    const before = states();
    act(document, { kind: 'delete', at: 0, seed: 0 });
    expect(states()).toHaveLength(1);
    document.undo();
    expect(states()).toEqual(before);
    expect(decode(document.objects()[0]!.runs!)).toEqual(decode(mask(1)));
    expect(events.map(({ tool, object }) => [tool, object.deleted])).toEqual([
      ['brush', false],
      ['brush', false],
      ['delete', true],
      ['undo', false],
    ]);
  });
});

describe('prominence', () => {
  it('moved from one place to another leaves all others in order', () => {
    const numbers = fc.array(fc.nat(60), { minLength: 1, maxLength: 12 }).map((list) => list.sort((a, b) => a - b));
    fc.assert(
      fc.property(numbers, fc.nat(11), fc.nat(11), (list, a, b) => {
        const [from, to] = [a % list.length, b % list.length];
        const changed = moved(list, from, to);
        const order = list.map((number, place) => ({ place, number: changed.get(place) ?? number })).sort((x, y) => x.number - y.number);
        const expected = list.map((_, place) => place).filter((place) => place !== from);
        expected.splice(to, 0, from);
        expect(order.map(({ place }) => place)).toEqual(expected);
      }),
    );
  });

  it('of one object among spaced ones changes that one only', () => {
    expect([...moved([0, 16, 32, 48], 3, 1)]).toEqual([[3, 8]]);
    expect(behind([])).toBe(0);
    expect(behind([5, 3])).toBe(21);
  });
});

describe('the clock', () => {
  it('counts work, but neither idle nor hidden time', () => {
    const clock = new ActiveClock(0);
    clock.touch(5_000);
    expect(clock.takeSeconds(10_000)).toBe(10);
    // Idle from 15 s after the last touch.
    expect(clock.takeSeconds(60_000)).toBe(10);
    clock.touch(61_000);
    clock.hide(true, 63_000);
    clock.hide(false, 90_000);
    expect(clock.takeSeconds(92_000)).toBe(4);
  });

  it('starts anew for each mask', () => {
    const clock = new ActiveClock(0);
    clock.touch(8_000);
    clock.startMask(8_000);
    clock.touch(11_000);
    expect(clock.maskSeconds(12_000)).toBe(4);
    expect(clock.takeSeconds(12_000)).toBe(12);
  });
});

describe('keys', () => {
  const press = (key: string, modifiers: Partial<KeyPress> = {}): KeyPress => ({
    key,
    ctrlKey: false,
    metaKey: false,
    altKey: false,
    shiftKey: false,
    ...modifiers,
  });

  it.each(['annotate', 'review'] as const)('each belong to one command (%s)', (mode) => {
    const keys = SHORTCUTS.filter((shortcut) => (shortcut.mode ?? mode) === mode).flatMap((shortcut) => shortcut.keys);
    expect(new Set(keys).size).toBe(keys.length);
    expect(new Set(SHORTCUTS.map((shortcut) => shortcut.command)).size).toBe(SHORTCUTS.length);
  });

  it('are found with their modifiers, whatever the case', () => {
    expect(commandOf(press('Z', { ctrlKey: true, shiftKey: true }), 'annotate')).toBe('redo');
    expect(commandOf(press('z', { metaKey: true }), 'annotate')).toBe('undo');
    expect(commandOf(press('B'), 'annotate')).toBe('tool-brush');
    expect(commandOf(press('?', { shiftKey: true }), 'annotate')).toBe('help');
    expect(commandOf(press('Tab', { shiftKey: true }), 'annotate')).toBe('previous-prefilled');
    expect(commandOf(press('c', { ctrlKey: true }), 'annotate')).toBeNull();
    expect(commandOf(press('i'), 'annotate')).toBeNull();
    expect(commandOf(press('i'), 'review')).toBe('tool-pin');
  });
});
