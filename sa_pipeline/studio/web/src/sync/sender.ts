import { type Readable, writable } from 'svelte/store';
import { Refused } from '../api/client';
import { type Event as TaskEvent, MAX_EVENTS_PER_SAVE, type Save, type Saved, type StoredEvent } from '../api/types';
import type { SaveState, SaveStatus, TaskLog } from './tasklog';

/** What a sender needs from outside. */
export interface Surroundings {
  save(save: Save, keepalive: boolean): Promise<Saved>;
  events(): Promise<StoredEvent[]>;
  keep(event: TaskEvent): Promise<number>;
  forget(sequences: number[]): Promise<void>;
  /** The server has the person's own events that this page has not seen: another tab's, or a sending thought lost. */
  onsurprise(): void;
  annotator: string;
}

interface Pending {
  event: TaskEvent;
  /** Its number on this computer; undefined where the browser could not keep it. */
  kept: Promise<number | undefined>;
}

/** Chromium refuses to send more than 64 KiB after the page has gone. */
const KEEPALIVE_BYTES = 60_000;
/** Of masks in one request; a larger batch is sent in parts. */
const BATCH_CHARACTERS = 4_000_000;

/** Milliseconds: waited for more events before a sending, and between tries. */
export interface Pace {
  gather: number;
  firstPause: number;
  longestPause: number;
}

const PACE: Pace = { gather: 250, firstPause: 500, longestPause: 5_000 };

/** Sends one task's events to the server: in order, each once, again and again until they are there. */
export class Sender implements TaskLog {
  version: number;
  private pending: Pending[] = [];
  private token: string;
  private state: SaveState = 'saved';
  private detail = '';
  private reason = '';
  private sending: Promise<void> | undefined;
  /** How many of the first pending events the request under way carries. */
  private inFlight = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private failures = 0;
  private batchLimit = MAX_EVENTS_PER_SAVE;
  private diskFails = false;
  private closed = false;
  private waiting: { resolve(): void; reject(reason: Error): void }[] = [];
  private readonly store = writable<SaveStatus>({ state: 'saved', unsaved: 0, detail: '' });
  readonly status: Readable<SaveStatus> = this.store;

  constructor(
    token: string,
    version: number,
    unsent: { sequence: number; event: TaskEvent }[],
    private readonly outside: Surroundings,
    private readonly pace: Pace = PACE,
  ) {
    this.token = token;
    this.version = version;
    this.pending = unsent.map(({ sequence, event }) => ({ event, kept: Promise.resolve(sequence) }));
    this.say(this.pending.length > 0 ? 'saving' : 'saved');
    if (this.pending.length > 0) this.schedule(0);
  }

  record(event: TaskEvent): void {
    const kept = this.outside.keep(event).catch(() => {
      this.diskFails = true;
      this.say(this.state);
      return undefined;
    });
    this.pending.push({ event, kept });
    this.say(this.state === 'saved' ? 'saving' : this.state);
    if (this.state === 'saving') this.schedule(this.pace.gather);
  }

  flush(): Promise<void> {
    if (this.pending.length === 0) return Promise.resolve();
    if (this.halted() || this.closed) return Promise.reject(new Error(this.detail));
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.schedule(0);
    });
  }

  async close(): Promise<void> {
    try {
      await this.flush();
    } catch {
      // it is kept on this computer, and found again when the task is opened
    }
    this.closed = true;
    clearTimeout(this.timer);
  }

  /** Tries again now: the network is back, or the person has signed in again. */
  retry(): void {
    if (this.state === 'lease_lost' || this.state === 'refused' || this.pending.length === 0) return;
    this.failures = 0;
    this.say('saving');
    this.schedule(0);
  }

  /** Goes on with a new lease of the same task. */
  resume(token: string): void {
    this.token = token;
    this.failures = 0;
    this.say(this.pending.length > 0 ? 'saving' : 'saved');
    this.schedule(0);
  }

  get leaseToken(): string {
    return this.token;
  }

  /** Another request was told that the lease has gone. */
  loseLease(detail: string): void {
    this.halt('lease_lost', detail);
  }

  /** Leaves out the change that the server refused, and goes on with the rest. */
  leaveOut(): void {
    if (this.state !== 'refused') return;
    const refused = this.pending.shift();
    if (refused) void this.forget([refused]);
    this.say(this.pending.length > 0 ? 'saving' : 'saved');
    this.schedule(0);
  }

  /** The page may be gone in a moment: whatever is small enough is handed to the browser to send. */
  sendLast(): void {
    if (this.halted() || this.pending.length === 0) return;
    if (this.sending === undefined) {
      this.schedule(0, true);
      return;
    }
    // What is under way arrives first; where it does not, the server refuses this and it is sent from the disk later.
    const ahead = this.inFlight;
    const rest = this.pending.slice(ahead).map(({ event }) => event);
    const body: Save = { lease_token: this.token, base_version: this.version + ahead, events: rest };
    if (rest.length > 0 && rest.length <= MAX_EVENTS_PER_SAVE && sizeOf(body) < KEEPALIVE_BYTES) {
      this.outside.save(body, true).catch(() => undefined);
    }
  }

  private halted(): boolean {
    return this.state === 'lease_lost' || this.state === 'refused' || this.state === 'signed_out';
  }

  private schedule(delay: number, now = false): void {
    clearTimeout(this.timer);
    if (this.closed) return;
    if (now) void this.pump();
    else this.timer = setTimeout(() => void this.pump(), delay);
  }

  private pump(): Promise<void> {
    clearTimeout(this.timer);
    this.sending ??= this.sendAll().finally(() => {
      this.sending = undefined;
    });
    return this.sending;
  }

  private async sendAll(): Promise<void> {
    while (this.pending.length > 0 && !this.halted()) {
      const batch = this.nextBatch();
      this.inFlight = batch.length;
      try {
        await this.send(batch);
        this.failures = 0;
        this.batchLimit = MAX_EVENTS_PER_SAVE;
        this.say(this.pending.length > 0 ? 'saving' : 'saved');
      } catch (error) {
        if (!(await this.recover(error))) return;
      } finally {
        this.inFlight = 0;
      }
    }
    if (this.pending.length === 0) this.settle(null);
  }

  private nextBatch(): Pending[] {
    let characters = 0;
    const batch: Pending[] = [];
    for (const item of this.pending.slice(0, this.batchLimit)) {
      characters += item.event.object.mask?.counts.length ?? 0;
      if (batch.length > 0 && characters > BATCH_CHARACTERS) break;
      batch.push(item);
    }
    return batch;
  }

  private async send(batch: Pending[]): Promise<void> {
    const events = batch.map(({ event }) => event);
    const body: Save = { lease_token: this.token, base_version: this.version, events };
    const saved = await this.outside.save(body, sizeOf(body) < KEEPALIVE_BYTES);
    this.version = saved.version;
    await this.acknowledge(new Set([...saved.applied, ...saved.duplicates]));
  }

  /** What the server has is let go here. */
  private async acknowledge(operations: ReadonlySet<string>): Promise<void> {
    const done = this.pending.filter(({ event }) => operations.has(event.op_id));
    this.pending = this.pending.filter(({ event }) => !operations.has(event.op_id));
    await this.forget(done);
  }

  private async forget(items: readonly Pending[]): Promise<void> {
    const sequences = await Promise.all(items.map(({ kept }) => kept));
    // where forgetting fails the event is sent once more some day, and the server knows it
    await this.outside.forget(sequences.filter((sequence) => sequence !== undefined)).catch(() => undefined);
  }

  /** Whether sending may go on at once. */
  private async recover(error: unknown): Promise<boolean> {
    if (error instanceof Refused && error.code === 'stale_version') {
      try {
        return await this.rebase();
      } catch (again) {
        return await this.recover(again);
      }
    }
    if (!(error instanceof Refused) || error.status === 429) {
      this.wait(error instanceof Refused ? error.retryAfterSeconds : null);
      return false;
    }
    if (error.status === 401) this.halt('signed_out', 'You are signed out');
    else if (error.status === 403 || error.status === 404 || error.status === 409) this.halt('lease_lost', error.message);
    else if (this.inFlight > 1) {
      // one change is at fault; the others must not wait for it
      this.batchLimit = 1;
      return true;
    } else this.halt('refused', error.message);
    return false;
  }

  /** Finds out what the server has of this task, and builds on that if nobody else was at it. */
  private async rebase(): Promise<boolean> {
    const stored = await this.outside.events();
    const unseen = stored.filter((event) => event.version > this.version);
    const own = new Set(this.pending.map(({ event }) => event.op_id));
    const stranger = unseen.find((event) => event.annotator !== this.outside.annotator);
    if (stranger) {
      this.halt('lease_lost', `${stranger.annotator} has changed this picture meanwhile.`);
      return false;
    }
    this.version = stored.reduce((version, event) => Math.max(version, event.version), this.version);
    await this.acknowledge(new Set(stored.map((event) => event.op_id)));
    if (unseen.some((event) => !own.has(event.op_id))) this.outside.onsurprise();
    this.say(this.pending.length > 0 ? 'saving' : 'saved');
    return true;
  }

  private wait(seconds: number | null): void {
    const pause = Math.min(this.pace.longestPause, this.pace.firstPause * 2 ** this.failures) * (0.75 + Math.random() / 2);
    this.failures += 1;
    this.halt('offline', '');
    this.schedule(seconds === null ? pause : seconds * 1000);
  }

  private halt(state: SaveState, detail: string): void {
    this.say(state, detail);
    this.settle(new Error(this.detail));
  }

  private settle(error: Error | null): void {
    for (const { resolve, reject } of this.waiting.splice(0)) error ? reject(error) : resolve();
  }

  private say(state: SaveState, reason = ''): void {
    const unsaved = this.pending.length;
    this.state = state;
    if (reason !== '' || state === 'saved' || state === 'saving' || state === 'offline') this.reason = reason;
    this.detail = describe(state, unsaved, this.reason, this.diskFails);
    this.store.set({ state, unsaved, detail: this.detail });
  }
}

function sizeOf(body: Save): number {
  return new TextEncoder().encode(JSON.stringify(body)).length;
}

function describe(state: SaveState, unsaved: number, reason: string, diskFails: boolean): string {
  const changes = unsaved === 1 ? '1 change' : `${unsaved} changes`;
  const place = diskFails ? 'only in this tab (the browser refuses to store it): do not close it' : 'in this browser';
  switch (state) {
    case 'saved':
      return 'Everything is saved on the server.';
    case 'saving':
      return `${changes} on the way to the server${diskFails ? `, kept ${place}` : ''}.`;
    case 'offline':
      return `The server cannot be reached. ${changes} kept ${place}; sent as soon as it is back.`;
    case 'signed_out':
      return `${reason}. ${changes} kept ${place}; sent once you have signed in again.`;
    case 'lease_lost':
    case 'refused':
      return unsaved > 0 ? `${ended(reason)} ${changes} kept ${place}.` : ended(reason);
  }
}

const ended = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);
