import { get, type Readable } from 'svelte/store';
import { api, session } from '../api/client';
import type { Event as TaskEvent, ObjectState, TaskDetail } from '../api/types';
import { applyEvents } from './apply';
import { forget, keep, kept, type TaskKey } from './disk';
import { Sender } from './sender';

export type { Event as TaskEvent } from '../api/types';

export type SaveState = 'saved' | 'saving' | 'offline' | 'signed_out' | 'lease_lost' | 'refused';

/** What the page says about saving; detail is a sentence for the person. */
export interface SaveStatus {
  state: SaveState;
  unsaved: number;
  detail: string;
}

export interface TaskLog {
  /** Keeps the event: in IndexedDB at once, on the server within seconds, in order, exactly once. */
  record(event: TaskEvent): void;
  /** Resolves when all is acknowledged; rejects with a sentence. */
  flush(): Promise<void>;
  readonly status: Readable<SaveStatus>;
  /** Of the task, as the server last said. */
  readonly version: number;
  /** Flushes if it can; what could not be sent stays in IndexedDB. */
  close(): Promise<void>;
}

/** A task's log as the page that leases the task needs it. */
export interface LeasedTaskLog extends TaskLog {
  readonly leaseToken: string;
  /** Goes on with a new lease of the same task. */
  resume(leaseToken: string): void;
  loseLease(detail: string): void;
  /** Leaves out the one change that the server refused. */
  leaveOut(): void;
}

/**
 * Opens a leased task's log; objects are the server's, with events that were left unsent applied.
 * onsurprise is called when the server turns out to have this person's changes that the page has not seen.
 */
export async function openTaskLog(
  detail: TaskDetail,
  onsurprise: () => void = () => undefined,
): Promise<{ log: LeasedTaskLog; objects: ObjectState[] }> {
  const signedIn = get(session);
  if (!signedIn || detail.lease === null) throw new Error('Only a task that is leased to you can be changed.');
  const key = keyOf(detail, signedIn.dataset, signedIn.annotator.annotator_id);
  const { unsent, server } = await leftBehind(key, detail);
  const sender = new Sender(detail.lease.lease_token, server.task.version, unsent, {
    save: (save, keepalive) => api.save(key.taskId, save, keepalive),
    events: () => api.events(key.taskId),
    keep: (event) => keep(key, event),
    forget,
    onsurprise,
    annotator: signedIn.annotator.name,
  });
  return { log: listening(sender, key.annotatorId), objects: applyEvents(server.objects, unsent.map((row) => row.event)) };
}

function keyOf(detail: TaskDetail, dataset: string, annotatorId: number): TaskKey {
  const { round, task_id: taskId, image } = detail.task;
  return { dataset, annotatorId, round, taskId, imageId: image.image_id };
}

/** What a crash left on this computer and the server has not, and the task as the server has it. */
async function leftBehind(
  key: TaskKey,
  detail: TaskDetail,
): Promise<{ unsent: { sequence: number; event: TaskEvent }[]; server: TaskDetail }> {
  const found = await kept(key).catch(() => []);
  if (found.length === 0) return { unsent: [], server: detail };
  const stored = await api.events(key.taskId);
  const known = new Set(stored.map((event) => event.op_id));
  await forget(found.filter(({ event }) => known.has(event.op_id)).map(({ sequence }) => sequence));
  // the browser may have sent the last of them while this page was loading
  const server = stored.some((event) => event.version > detail.task.version) ? await api.task(key.taskId) : detail;
  return { unsent: found.filter(({ event }) => !known.has(event.op_id)), server };
}

/** Ties a sender to what happens to the page, until it is closed. */
function listening(sender: Sender, annotatorId: number): Sender {
  const leaving = (): void => {
    if (document.visibilityState === 'hidden') sender.sendLast();
  };
  const gone = (): void => sender.sendLast();
  const back = (): void => sender.retry();
  document.addEventListener('visibilitychange', leaving);
  addEventListener('pagehide', gone);
  addEventListener('online', back);
  const unsubscribe = session.subscribe((now) => {
    if (now?.annotator.annotator_id === annotatorId) sender.retry();
  });
  const close = sender.close.bind(sender);
  sender.close = async () => {
    await close();
    document.removeEventListener('visibilitychange', leaving);
    removeEventListener('pagehide', gone);
    removeEventListener('online', back);
    unsubscribe();
  };
  return sender;
}
