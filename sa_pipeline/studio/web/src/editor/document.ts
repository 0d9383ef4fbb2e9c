/**
 * The objects of a task and their history.
 *
 * What an object is at one moment is a snapshot that never changes; an action replaces snapshots, and undo puts the
 * ones before back, so that both ways are the same by construction. Every action, undo and redo included, becomes one
 * event for each object that it changed.
 */

import type { Event as TaskEvent, ObjectState, Tool } from '../api/types';
import { fromRle, toRle, type Runs } from '../rle';

export interface Snapshot {
  /** What is saved. */
  readonly state: ObjectState;
  /** Of state.mask; null: nothing painted yet. */
  readonly runs: Runs | null;
  /** Pixels that a hand decided, on or off; SAM's later answers leave them. */
  readonly manual: Runs | null;
  /** SAM's last answer, lowResSide squared, fed back with the next prompt. */
  readonly logits: Float32Array | null;
  /** The mask before SAM was first asked about it. */
  readonly base: Runs | null;
}

export interface Change {
  readonly before: Snapshot;
  readonly after: Snapshot;
}

export interface Step {
  readonly tool: Tool;
  readonly changes: readonly Change[];
}

/** What an event says of when and how long. */
export interface Timekeeper {
  /** Seconds since 1970. */
  now(): number;
  /** Active seconds since the last call. */
  takeActiveSeconds(): number;
}

const MAX_STEPS = 300;

export class TaskDocument {
  readonly #objects = new Map<string, Snapshot>();
  readonly #listeners = new Set<(changes: readonly Change[]) => void>();
  #done: Step[] = [];
  #undone: Step[] = [];

  constructor(
    states: readonly ObjectState[],
    private readonly record: (event: TaskEvent) => void,
    private readonly time: Timekeeper,
  ) {
    for (const state of states) this.#objects.set(state.object_id, snapshotOf(state));
  }

  /** Objects that are not deleted, the most prominent first, ties in the order of making. */
  objects(): Snapshot[] {
    return [...this.#objects.values()]
      .filter((snapshot) => !snapshot.state.deleted)
      .sort((a, b) => a.state.prominence - b.state.prominence);
  }

  /** Undefined for an object that is not there, or is deleted. */
  get(objectId: string): Snapshot | undefined {
    const snapshot = this.#objects.get(objectId);
    return snapshot?.state.deleted === true ? undefined : snapshot;
  }

  get canUndo(): boolean {
    return this.#done.length > 0;
  }

  get canRedo(): boolean {
    return this.#undone.length > 0;
  }

  /** `listen` is told of every change; returns the call that ends it. */
  listen(listen: (changes: readonly Change[]) => void): () => void {
    this.#listeners.add(listen);
    return () => this.#listeners.delete(listen);
  }

  /** Carry an action out; what had been undone is forgotten. */
  commit(tool: Tool, changes: readonly Change[]): void {
    if (changes.length === 0) return;
    this.#done.push({ tool, changes });
    if (this.#done.length > MAX_STEPS) this.#done.shift();
    this.#undone = [];
    this.#apply(tool, changes);
  }

  /** An event that changes nothing and is not to be undone. */
  note(tool: Tool, snapshot: Snapshot): void {
    this.#apply(tool, [{ before: snapshot, after: snapshot }]);
  }

  /** The step that was undone, or null. */
  undo(): Step | null {
    const step = this.#done.pop();
    if (step === undefined) return null;
    this.#undone.push(step);
    this.#apply('undo', step.changes.map(({ before, after }) => ({ before: after, after: before })).reverse());
    return step;
  }

  /** The step that was done again, or null. */
  redo(): Step | null {
    const step = this.#undone.pop();
    if (step === undefined) return null;
    this.#done.push(step);
    this.#apply('redo', step.changes);
    return step;
  }

  #apply(tool: Tool, changes: readonly Change[]): void {
    let activeSeconds = this.time.takeActiveSeconds();
    for (const { after } of changes) {
      this.#objects.set(after.state.object_id, after);
      this.record({
        op_id: crypto.randomUUID(),
        tool,
        object: after.state,
        at: this.time.now(),
        active_seconds: activeSeconds,
      });
      activeSeconds = 0;
    }
    for (const listen of this.#listeners) listen(changes);
  }
}

export function snapshotOf(state: ObjectState): Snapshot {
  return { state, runs: state.mask === null ? null : fromRle(state.mask), manual: null, logits: null, base: null };
}

/** An object that is about to be made; to undo the making is to delete it. */
export function unborn(objectId: string, prominence: number): Snapshot {
  return snapshotOf({
    object_id: objectId,
    label: '',
    kind: 'thing',
    unnameable: false,
    prominence,
    source: 'manual',
    source_mask_id: null,
    mask: null,
    prompts: { point_coords: [], point_labels: [], box: null, output: null, predicted_iou: null },
    deleted: true,
  });
}

/** Of what was first made in the step, `before` is the same object, deleted. */
export function edited(before: Snapshot, what: Partial<Omit<Snapshot, 'state'>> & { state?: Partial<ObjectState> }): Change {
  const { state, ...rest } = what;
  const mask = rest.runs === undefined ? before.state.mask : rest.runs === null ? null : toRle(rest.runs);
  return { before, after: { ...before, ...rest, state: { ...before.state, mask, deleted: false, ...state } } };
}
