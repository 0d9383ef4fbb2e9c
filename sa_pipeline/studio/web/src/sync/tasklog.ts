import type { Readable } from 'svelte/store';
import type { Event as TaskEvent, ObjectState, TaskDetail } from '../api/types';

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
  readonly version: number;
  /** Flushes if it can; what could not be sent stays in IndexedDB. */
  close(): Promise<void>;
}

/** Opens a task's log; objects are the server's, with events that were left unsent applied. */
export function openTaskLog(detail: TaskDetail): Promise<{ log: TaskLog; objects: ObjectState[] }> {
  return Promise.reject(new Error(`task ${detail.task.task_id} cannot be opened yet`));
}
