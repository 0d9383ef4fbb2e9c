/** What is done with whole objects: hide, lock, mark, merge, delete, bring into order, walk through. */

import { area, bounds, isEmptyMask, subtract, union, type Runs } from '../rle';
import { edited, type Change, type Snapshot } from './document';
import { moved } from './prominence';
import { intersect, isEmpty } from './rect';
import type { Workspace } from './workspace';

export class ObjectCommands {
  readonly hidden = new Set<string>();
  readonly locked = new Set<string>();
  /** Marked for merging or deleting. */
  readonly marked = new Set<string>();

  constructor(
    private readonly workspace: Workspace,
    /** Objects that a person looked at. */
    readonly seen: Set<string>,
  ) {}

  toggleHidden(id: string): void {
    toggle(this.hidden, id);
    this.workspace.showObject(id);
    this.workspace.changed();
  }

  toggleLocked(id: string): void {
    toggle(this.locked, id);
    this.workspace.changed();
  }

  toggleMarked(id: string): void {
    toggle(this.marked, id);
    this.workspace.changed();
  }

  delete(ids: readonly string[]): void {
    const { workspace } = this;
    if (!workspace.mayChangeObjects(ids)) return;
    if (workspace.activeId !== null && ids.includes(workspace.activeId)) workspace.putDown();
    const doomed = ids.map((id) => workspace.document.get(id)).filter((each) => each !== undefined);
    workspace.document.commit('delete', doomed.map((each) => edited(each, { state: { deleted: true } })));
  }

  /** Into the most prominent of the marked objects, the open one included. */
  merge(): void {
    const { workspace } = this;
    const ids = new Set([...this.marked, ...(workspace.activeId === null ? [] : [workspace.activeId])]);
    const isPart = ({ state, runs }: Snapshot): boolean => ids.has(state.object_id) && runs !== null;
    if (workspace.document.objects().filter(isPart).length < 2) {
      return workspace.say('Mark two objects or more first: Shift+click them in the list');
    }
    if (!workspace.mayChangeObjects([...ids])) return;
    workspace.open(null);
    this.marked.clear();
    const parts = workspace.document.objects().filter(isPart);
    const [target, ...rest] = parts as [Snapshot, ...Snapshot[]];
    const runs = parts.map((part) => part.runs!).reduce(union);
    const label = parts.find((part) => part.state.label !== '')?.state.label ?? '';
    workspace.document.commit('merge', [
      edited(target, { runs, logits: null, state: { label } }),
      ...rest.map((part) => edited(part, { state: { deleted: true } })),
    ]);
    workspace.open(target.state.object_id);
  }

  /** Move an object to another place in the order of prominence. */
  move(id: string, place: number): void {
    const { workspace } = this;
    const objects = workspace.document.objects();
    const from = objects.findIndex(({ state }) => state.object_id === id);
    const to = Math.min(objects.length - 1, Math.max(0, place));
    if (from < 0 || from === to || !workspace.mayChangeObjects([])) return;
    const numbers = moved(objects.map(({ state }) => state.prominence), from, to);
    workspace.document.commit('order', [...numbers].map(([k, prominence]) => edited(objects[k]!, { state: { prominence } })));
  }

  moveActive(direction: 1 | -1): void {
    const id = this.workspace.activeId;
    const from = this.workspace.document.objects().findIndex(({ state }) => state.object_id === id);
    if (id !== null && from >= 0) this.move(id, from + direction);
  }

  /** The object before or behind in the list. */
  step(direction: 1 | -1): void {
    const { workspace } = this;
    const objects = workspace.document.objects();
    if (objects.length === 0) return;
    const from = objects.findIndex(({ state }) => state.object_id === workspace.activeId);
    const to = from < 0 ? (direction === 1 ? 0 : objects.length - 1) : (from + direction + objects.length) % objects.length;
    workspace.openInSight(objects[to]!.state.object_id);
  }

  /** The next mask that no person made and nobody has looked at; the one before is kept by going on. */
  nextPrefilled(direction: 1 | -1): void {
    const { workspace } = this;
    const before = workspace.activeId;
    if (direction === 1) workspace.confirm();
    if (before !== null) this.seen.add(before);
    const objects = workspace.document.objects();
    const from = objects.findIndex(({ state }) => state.object_id === before);
    const isWanted = ({ state }: Snapshot): boolean =>
      state.source !== 'manual' && (direction === -1 || !this.seen.has(state.object_id));
    const next =
      direction === 1
        ? (objects.slice(from + 1).find(isWanted) ?? objects.find(isWanted))
        : objects.slice(0, Math.max(0, from)).reverse().find(isWanted);
    if (next !== undefined) return workspace.openInSight(next.state.object_id);
    workspace.open(null);
    workspace.say(direction === 1 ? 'Every pre-filled mask has been looked at' : 'There is none before');
  }

  /** The pixels of an object that is done go to it alone; locked objects keep theirs. */
  takeFromOthers(done: Snapshot): void {
    if (done.runs === null || isEmptyMask(done.runs)) return;
    const { document } = this.workspace;
    const doneBounds = bounds(done.runs);
    let own: Runs = done.runs;
    const changes: Change[] = [];
    for (const other of document.objects()) {
      const { object_id: id } = other.state;
      if (id === done.state.object_id || other.runs === null) continue;
      if (isEmpty(intersect(bounds(other.runs), doneBounds))) continue;
      if (this.locked.has(id)) {
        own = subtract(own, other.runs);
        continue;
      }
      const rest = subtract(other.runs, done.runs);
      if (area(rest) !== area(other.runs)) changes.push(edited(other, { runs: rest, logits: null }));
    }
    if (area(own) !== area(done.runs)) changes.push(edited(done, { runs: own, logits: null }));
    document.commit('no_overlap', changes);
  }
}

function toggle(set: Set<string>, id: string): void {
  if (!set.delete(id)) set.add(id);
}
