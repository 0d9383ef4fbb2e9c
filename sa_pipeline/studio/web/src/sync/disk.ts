import { type DBSchema, type IDBPDatabase, openDB } from 'idb';
import type { Event as TaskEvent } from '../api/types';

/** Whose work on which task; all of it, since one address may serve other datasets at other times. */
export interface TaskKey {
  dataset: string;
  annotatorId: number;
  round: string;
  taskId: number;
  imageId: number;
}

interface UnsentEvent {
  sequence?: number;
  task: string;
  event: TaskEvent;
}

interface Schema extends DBSchema {
  unsent: { key: number; value: UnsentEvent; indexes: { task: string } };
}

let opened: Promise<IDBPDatabase<Schema>> | undefined;

function database(): Promise<IDBPDatabase<Schema>> {
  opened ??= openDB<Schema>('sa-pipeline-studio', 1, {
    upgrade(db) {
      db.createObjectStore('unsent', { keyPath: 'sequence', autoIncrement: true }).createIndex('task', 'task');
    },
    terminated() {
      opened = undefined;
    },
  });
  return opened;
}

const nameOf = (key: TaskKey): string =>
  JSON.stringify([key.dataset, key.annotatorId, key.round, key.taskId, key.imageId]);

/** Keeps an event on this computer; resolves with its number, once a crash can lose it no more. */
export async function keep(key: TaskKey, event: TaskEvent): Promise<number> {
  const transaction = (await database()).transaction('unsent', 'readwrite', { durability: 'strict' });
  const sequence = await transaction.store.add({ task: nameOf(key), event });
  await transaction.done;
  return sequence;
}

/** Events of a task that were kept and not forgotten, oldest first, with their numbers. */
export async function kept(key: TaskKey): Promise<{ sequence: number; event: TaskEvent }[]> {
  const rows = await (await database()).getAllFromIndex('unsent', 'task', nameOf(key));
  return rows.map((row) => ({ sequence: row.sequence as number, event: row.event }));
}

/** Lets events go: the server has them. */
export async function forget(sequences: readonly number[]): Promise<void> {
  const transaction = (await database()).transaction('unsent', 'readwrite');
  await Promise.all(sequences.map((sequence) => transaction.store.delete(sequence)));
  await transaction.done;
}

/** Tasks of a person that have unsent events on this computer, and how many. */
export async function unsentTasks(dataset: string, annotatorId: number): Promise<(TaskKey & { events: number })[]> {
  const counts = new Map<string, number>();
  for (const name of await (await database()).getAllFromIndex('unsent', 'task')) {
    counts.set(name.task, (counts.get(name.task) ?? 0) + 1);
  }
  return [...counts]
    .map(([name, events]) => {
      const [of, by, round, taskId, imageId] = JSON.parse(name) as [string, number, string, number, number];
      return { dataset: of, annotatorId: by, round, taskId, imageId, events };
    })
    .filter((task) => task.dataset === dataset && task.annotatorId === annotatorId);
}

/** Lets all unsent events of a task go, which are lost by that. */
export async function discard(key: TaskKey): Promise<void> {
  await forget((await kept(key)).map((row) => row.sequence));
}
