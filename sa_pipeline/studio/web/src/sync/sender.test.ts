import 'fake-indexeddb/auto';
import fc from 'fast-check';
import { get } from 'svelte/store';
import { afterEach, expect, test } from 'vitest';
import { Refused, Unreachable } from '../api/client';
import type { Event as TaskEvent, ObjectState, Save, Saved, StoredEvent } from '../api/types';
import { applyEvents } from './apply';
import { forget, keep, kept, type TaskKey } from './disk';
import { Sender } from './sender';

const PACE = { gather: 0, firstPause: 1, longestPause: 2 };
type Fault = 'none' | 'lost' | 'answer_lost' | 'trouble' | 'too_fast';

/** The server's rules of saving, with a network that fails as told. */
class Server {
  stored: StoredEvent[] = [];
  token = 'lease';
  faults: Fault[] = [];
  poison = new Set<string>();

  constructor(private readonly annotator = 'ada') {}

  async save(save: Save): Promise<Saved> {
    await new Promise((resolve) => setTimeout(resolve));
    const fault = this.faults.shift() ?? 'none';
    if (fault === 'lost') throw new Unreachable('lost');
    if (fault === 'trouble') throw new Unreachable('503');
    if (fault === 'too_fast') throw new Refused(429, 'too_many_requests', 'Slow down.', null, 0.001);
    const answer = this.apply(save);
    if (fault === 'answer_lost') throw new Unreachable('lost on the way back');
    return answer;
  }

  async events(): Promise<StoredEvent[]> {
    await new Promise((resolve) => setTimeout(resolve));
    if (this.faults.shift() === 'lost') throw new Unreachable('lost');
    return [...this.stored];
  }

  apply(save: Save, annotator = this.annotator): Saved {
    if (save.lease_token !== this.token) throw new Refused(409, 'lease_lost', 'Somebody else has the task.');
    const known = new Set(this.stored.map((event) => event.op_id));
    const fresh = save.events.filter((event) => !known.has(event.op_id));
    if (fresh.some((event) => this.poison.has(event.op_id))) throw new Refused(422, 'invalid', 'The mask is broken.');
    if (fresh.length > 0 && save.base_version !== this.stored.length) {
      throw new Refused(409, 'stale_version', 'The task has changed.', this.stored.length);
    }
    for (const event of fresh) {
      this.stored.push({ ...event, version: this.stored.length + 1, annotator, received_at: 0 });
    }
    const duplicates = save.events.filter((event) => known.has(event.op_id)).map((event) => event.op_id);
    return { version: this.stored.length, applied: fresh.map((event) => event.op_id), duplicates, lease_until: 0 };
  }
}

let tasks = 0;
const senders: Sender[] = [];

function newKey(): TaskKey {
  tasks += 1;
  return { dataset: 'photos', annotatorId: 1, round: 'first', taskId: tasks, imageId: tasks };
}

async function open(server: Server, key: TaskKey, version = 0, onsurprise = () => {}): Promise<Sender> {
  const sender = new Sender(
    server.token,
    version,
    await kept(key),
    {
      save: (save) => server.save(save),
      events: () => server.events(),
      keep: (event) => keep(key, event),
      forget,
      onsurprise,
      annotator: 'ada',
    },
    PACE,
  );
  senders.push(sender);
  return sender;
}

afterEach(async () => {
  await Promise.all(senders.splice(0).map((sender) => sender.close()));
});

function change(label: string, object_id = '00000000-0000-4000-8000-000000000001'): TaskEvent {
  const object: ObjectState = {
    object_id,
    label,
    kind: 'thing',
    unnameable: false,
    prominence: 0,
    source: 'manual',
    source_mask_id: null,
    mask: null,
    prompts: { point_coords: [], point_labels: [], box: null, output: null, predicted_iou: null },
    deleted: false,
  };
  return { op_id: crypto.randomUUID(), tool: 'label', object, at: 0, active_seconds: 0 };
}

async function settled(sender: Sender): Promise<void> {
  for (;;) {
    try {
      return await sender.flush();
    } catch {
      if (get(sender.status).state !== 'offline') throw new Error(get(sender.status).detail);
    }
  }
}

const labels = (server: Server): string[] => server.stored.map((event) => event.object.label);

const fault = fc.constantFrom<Fault>('none', 'none', 'lost', 'answer_lost', 'trouble', 'too_fast');
const step = fc.oneof(
  { arbitrary: fc.constant('change' as const), weight: 6 },
  { arbitrary: fc.constant('pause' as const), weight: 3 },
  { arbitrary: fc.constant('leave' as const), weight: 1 },
  { arbitrary: fc.constant('crash' as const), weight: 1 },
);

test('whatever the network and the browser do, every change arrives once and in order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.array(fault, { maxLength: 25 }), async (steps, faults) => {
      const server = new Server();
      server.faults = [...faults];
      const key = newKey();
      let sender = await open(server, key);
      const made: string[] = [];
      for (const what of steps) {
        if (what === 'change') {
          made.push(`change ${made.length}`);
          sender.record(change(made.at(-1)!));
        } else if (what === 'pause') {
          await new Promise((resolve) => setTimeout(resolve, 1));
        } else if (what === 'leave') {
          sender.sendLast();
        } else {
          // the old page can do no more; the new one starts from the server's version and this computer's disk
          const rows = kept(key);
          Object.assign(sender, { closed: true });
          await rows;
          sender = await open(server, key, server.stored.length);
        }
      }
      await settled(sender);
      expect(labels(server)).toEqual(made);
      expect(await kept(key)).toEqual([]);
      expect(sender.version).toBe(made.length);
      expect(get(sender.status)).toMatchObject({ state: 'saved', unsaved: 0 });
    }),
    { numRuns: 60, seed: 4 },
  );
});

test('a lost lease keeps the work, and a new lease sends it', async () => {
  const server = new Server();
  const key = newKey();
  const sender = await open(server, key);
  server.token = 'of somebody else';
  sender.record(change('cat'));
  await expect(sender.flush()).rejects.toThrow('Somebody else has the task. 1 change kept in this browser.');
  sender.record(change('dog'));
  expect(get(sender.status)).toMatchObject({ state: 'lease_lost', unsaved: 2 });
  expect(await kept(key)).toHaveLength(2);
  sender.resume('of somebody else');
  await sender.flush();
  expect(labels(server)).toEqual(['cat', 'dog']);
});

test('signed out: nothing is lost, and it goes on after signing in', async () => {
  const server = new Server();
  const sender = await open(server, newKey());
  const save = server.save.bind(server);
  server.save = () => Promise.reject(new Refused(401, 'signed_out', 'Sign in first.'));
  sender.record(change('cat'));
  await expect(sender.flush()).rejects.toThrow('You are signed out. 1 change kept in this browser');
  server.save = save;
  sender.retry();
  await sender.flush();
  expect(labels(server)).toEqual(['cat']);
});

test('one refused change stops only itself', async () => {
  const server = new Server();
  const key = newKey();
  const sender = await open(server, key);
  const bad = change('bad');
  server.poison.add(bad.op_id);
  for (const event of [change('one'), change('two'), bad, change('three')]) sender.record(event);
  await expect(sender.flush()).rejects.toThrow('The mask is broken.');
  expect(labels(server)).toEqual(['one', 'two']);
  sender.leaveOut();
  await sender.flush();
  expect(labels(server)).toEqual(['one', 'two', 'three']);
  expect(await kept(key)).toEqual([]);
});

test('changes of another person stop the sending; those of another tab are told of', async () => {
  const server = new Server();
  const key = newKey();
  let surprises = 0;
  const sender = await open(server, key, 0, () => (surprises += 1));
  server.apply({ lease_token: 'lease', base_version: 0, events: [change('from another tab')] });
  sender.record(change('mine'));
  await sender.flush();
  expect(labels(server)).toEqual(['from another tab', 'mine']);
  expect(surprises).toBe(1);

  server.apply({ lease_token: 'lease', base_version: 2, events: [change('of the reviewer')] }, 'grace');
  sender.record(change('mine too'));
  await expect(sender.flush()).rejects.toThrow('grace has changed this picture meanwhile.');
  expect(labels(server)).not.toContain('mine too');
  expect(await kept(key)).toHaveLength(1);
});

test('a page that is left hands small work to the browser, behind what is under way', async () => {
  const server = new Server();
  const sender = await open(server, newKey());
  sender.record(change('one'));
  sender.sendLast();
  sender.record(change('two'));
  sender.sendLast();
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(labels(server)).toEqual(['one', 'two']);
});

test('unsent events change the objects that the server sent', () => {
  const [cat, dog] = [change('cat', 'a'), change('dog', 'b')];
  const renamed = { ...change('tiger', 'a'), object: { ...cat.object, label: 'tiger', prominence: 5 } };
  const removed = { ...dog, object: { ...dog.object, deleted: true } };
  expect(applyEvents([cat.object], [dog, renamed]).map((object) => object.label)).toEqual(['dog', 'tiger']);
  expect(applyEvents([cat.object, dog.object], [removed]).map((object) => object.label)).toEqual(['cat']);
});
