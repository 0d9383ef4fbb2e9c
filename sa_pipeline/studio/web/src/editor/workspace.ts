/** One task on the table: its objects, the one that is open, and the tools at hand. */

import { get, writable, type Readable, type Writable } from 'svelte/store';
import type { Event as TaskEvent, ImageInfo, ObjectState, Tool } from '../api/types';
import { DecoderService, type DecoderSources } from '../decoder/service';
import { area, bounds, isEmptyMask, subtract, union } from '../rle';
import { ActiveClock } from './clock';
import { edited, TaskDocument, unborn, type Change, type Snapshot, type Step } from './document';
import { MaskLayers } from './masklayers';
import { ObjectCommands } from './objects';
import { change, loadOptions, type Options, type ToolName } from './options';
import { Plane } from './plane';
import { behind } from './prominence';
import { isEmpty, type Rect } from './rect';
import { SamPrompting } from './sam';
import type { PointerAt, Stage } from './stage';
import { Table } from './table';
import { tidyRuns } from './tidy';
import { toolsOf, type PointerTool } from './tools';
import type { Point } from './view';

export interface WorkspaceInput {
  readonly image: ImageInfo;
  readonly objects: readonly ObjectState[];
  /** False: to look at only. */
  readonly writable: boolean;
  /** Objects that were looked at earlier. */
  readonly seen: Iterable<string>;
  record(event: TaskEvent): void;
  readonly sources: DecoderSources;
}

/** A remark that is being written. */
export interface RemarkDraft {
  readonly kind: 'pin' | 'unclear';
  readonly pixel: Point;
  readonly screen: Point;
}

export class Workspace {
  readonly image: ImageInfo;
  readonly document: TaskDocument;
  readonly objects: ObjectCommands;
  readonly plane: Plane;
  readonly layers: MaskLayers;
  readonly decoder: DecoderService;
  readonly sam: SamPrompting;
  readonly table: Table;
  readonly options: Writable<Options> = loadOptions();
  readonly clock = new ActiveClock(performance.now());
  /** Counts what panels show. */
  readonly changes: Readable<number>;
  /** A sentence for the person, replaced by the next. */
  readonly said = writable<{ text: string; count: number }>({ text: '', count: 0 });
  readonly remark = writable<RemarkDraft | null>(null);
  stage: Stage | null = null;
  /** The click under the pointer, by its place among the open object's. */
  hoveredClick: number | null = null;
  hoveredObject: string | null = null;
  stroking = false;
  readonly #changes = writable(0);
  readonly #writable: boolean;
  readonly #tools: Record<ToolName, PointerTool>;
  #active: Snapshot | null = null;
  /** The open object was changed since it was opened. */
  #touched = false;

  constructor(input: WorkspaceInput) {
    const { image } = input;
    this.image = image;
    this.#writable = input.writable;
    this.changes = { subscribe: this.#changes.subscribe };
    this.plane = new Plane(image.width, image.height);
    this.layers = new MaskLayers(this.plane, () => this.stage?.redraw('masks'));
    this.decoder = new DecoderService(image, input.sources);
    this.sam = new SamPrompting(this, this.decoder);
    this.document = new TaskDocument(input.objects, input.record, {
      now: () => Date.now() / 1000,
      takeActiveSeconds: () => this.clock.takeSeconds(performance.now()),
    });
    this.objects = new ObjectCommands(this, new Set(input.seen));
    this.#tools = toolsOf(this);
    this.table = new Table(this);
    for (const { state, runs } of this.document.objects()) this.layers.show(state.object_id, runs);
    this.document.listen((changes) => this.#follow(changes));
  }

  close(): void {
    this.decoder.close();
    this.layers.close();
  }

  get active(): Snapshot | null {
    return this.#active;
  }

  get activeId(): string | null {
    return this.#active?.state.object_id ?? null;
  }

  get tool(): PointerTool {
    return this.#tools[get(this.options).tool];
  }

  toolNamed(name: ToolName): PointerTool {
    return this.#tools[name];
  }

  get busy(): boolean {
    return this.stroking || this.sam.busy;
  }

  changed(): void {
    this.#changes.update((count) => count + 1);
    this.stage?.redraw('marks');
  }

  say(text: string): void {
    this.said.update(({ count }) => ({ text, count: count + 1 }));
  }

  useTool(tool: ToolName): void {
    change(this.options, { tool });
  }

  inside([x, y]: Point): boolean {
    return x > -0.5 && y > -0.5 && x < this.image.width - 0.5 && y < this.image.height - 0.5;
  }

  /** Whether the open object, or a new one, may be changed; says why not. */
  mayChange(): boolean {
    return this.mayChangeObjects(this.activeId === null ? [] : [this.activeId]);
  }

  mayChangeObjects(ids: readonly string[]): boolean {
    if (!this.#writable) this.say('This picture is open to look at only');
    else if (ids.some((id) => this.objects.locked.has(id))) this.say('The object is locked: unlock it first (K)');
    else return true;
    return false;
  }

  /** Keep the open object as it is, and open this one, or none. */
  open(id: string | null): void {
    const done = this.#active;
    this.putDown();
    if (done !== null) this.#settle(done);
    this.#pickUp(id);
    this.clock.startMask(performance.now());
    this.changed();
  }

  openInSight(id: string): void {
    this.open(id);
    const runs = this.#active?.runs;
    const rect = runs == null ? null : bounds(runs);
    if (rect !== null && !isEmpty(rect) && this.stage?.sees(rect) === false) this.stage.zoomTo(rect);
  }

  /** A new object, which comes to be with its first change. */
  openNew(): Snapshot {
    this.open(null);
    const prominences = this.document.objects().map(({ state }) => state.prominence);
    const fresh = unborn(crypto.randomUUID(), behind(prominences));
    this.#active = fresh;
    this.layers.openAs(fresh.state.object_id);
    return fresh;
  }

  /** One undoable action on the open object. */
  commitActive(tool: Tool, what: Parameters<typeof edited>[1]): void {
    if (this.#active === null) return;
    const change = edited(this.#active, what);
    this.#active = change.after;
    this.#touched = true;
    this.document.commit(tool, [change]);
  }

  paintActive(rect: Rect): void {
    this.layers.invalidate(rect);
  }

  reloadActive(): void {
    this.layers.openAs(this.activeId);
    this.paintActive(this.plane.load(this.#active?.runs ?? null, this.#active?.manual ?? null));
  }

  /** Done with the open object; or with the polygon that is being drawn. */
  keep(): void {
    if (this.tool.complete?.() === true) return;
    this.confirm();
    this.open(null);
  }

  /** A pre-filled mask that is left as it is was looked at, which is worth knowing. */
  confirm(): void {
    const active = this.#active;
    if (active === null || this.#touched || !this.#writable) return;
    const { source, object_id: id } = active.state;
    if (source !== 'manual' && !this.objects.seen.has(id)) this.document.note('confirm', active);
  }

  /** No object is open any more, and nothing else changes. */
  putDown(): void {
    this.sam.drop();
    const id = this.activeId;
    this.#active = null;
    this.#touched = false;
    this.hoveredClick = null;
    if (id !== null) this.showObject(id);
    this.reloadActive();
  }

  #pickUp(id: string | null): void {
    this.#active = (id === null ? undefined : this.document.get(id)) ?? null;
    if (id !== null) this.showObject(id);
    this.reloadActive();
  }

  #settle(done: Snapshot): void {
    const { object_id: id, deleted, label } = done.state;
    if (deleted) return;
    this.objects.seen.add(id);
    if (!this.#writable) return;
    if (label === '' && (done.runs === null || isEmptyMask(done.runs))) this.objects.delete([id]);
    else if (get(this.options).noOverlap) this.objects.takeFromOthers(done);
  }

  /** Bring the layer of masks that lie still up to date with one object. */
  showObject(id: string): void {
    const runs = this.document.get(id)?.runs ?? null;
    this.layers.show(id, id === this.activeId || this.objects.hidden.has(id) ? null : runs);
  }

  /** Name the open object, or say what it is. */
  describe(what: Partial<Pick<ObjectState, 'label' | 'kind' | 'unnameable'>>): void {
    if (this.#active === null) return this.say('Open an object first');
    if (this.mayChange()) this.commitActive('label', { state: what });
  }

  tidy(): void {
    const before = this.#active?.runs;
    if (before == null || !this.mayChange()) return;
    const after = tidyRuns(before);
    const different = union(subtract(before, after), subtract(after, before));
    if (area(different) === 0) return this.say('No small holes or islands');
    const manual = this.#active!.manual;
    this.commitActive('tidy', { runs: after, manual: manual === null ? different : union(manual, different) });
    this.reloadActive();
    this.say('Small holes filled, small islands dropped');
  }

  /** Deletes the click under the pointer, or else the open object, or the marked ones. */
  deleteUnderPointer(): void {
    if (!this.mayChange()) return;
    if (this.hoveredClick !== null) {
      const index = this.hoveredClick;
      this.hoveredClick = null;
      this.sam.removePoint(index);
    } else if (this.activeId !== null && this.#active?.state.deleted === true) {
      this.putDown();
    } else {
      this.objects.delete(this.activeId === null ? [...this.objects.marked] : [this.activeId]);
    }
  }

  /** What is being drawn first, then the last action. */
  undo(): void {
    if (this.tool.takeBack?.() === true || this.sam.takeBack()) return;
    this.#revisit(this.document.undo(), 'Undone', 'Nothing to undo');
  }

  redo(): void {
    this.#revisit(this.document.redo(), 'Done again', 'Nothing to redo');
  }

  /** Open what a step of the history changed, so that the person sees it. */
  #revisit(step: Step | null, verb: string, nothing: string): void {
    if (step === null) return this.say(nothing);
    this.sam.drop();
    const concerned = step.changes[0]!.after.state.object_id;
    if (step.tool !== 'no_overlap' && concerned !== this.activeId && this.document.get(concerned) !== undefined) {
      this.putDown();
      this.#pickUp(concerned);
    }
    this.say(`${verb}: ${step.tool.replace('_', ' ')}`);
    this.changed();
  }

  /** Escape: what is being drawn, then the clicks, then the object. */
  escape(): void {
    if (this.tool.cancel?.() === true || this.sam.takeBack() || this.#active === null) return;
    const { prompts } = this.#active.state;
    const asked = this.#active.logits !== null && (prompts.point_coords.length > 0 || prompts.box !== null);
    if (asked && this.mayChange()) this.sam.clear();
    else this.open(null);
  }

  zoomToActive(): void {
    const runs = this.#active?.runs;
    if (runs != null && !isEmptyMask(runs)) this.stage?.zoomTo(bounds(runs));
  }

  /** The object that is seen at a pixel. */
  objectAt(pixel: Point): string | null {
    const [x, y] = [Math.round(pixel[0]), Math.round(pixel[1])];
    return this.plane.isSet(x, y) ? this.activeId : this.layers.at(x, y);
  }

  hoverObject(id: string | null): void {
    if (id === this.hoveredObject) return;
    this.hoveredObject = id;
    this.changed();
  }

  startRemark(kind: 'pin' | 'unclear', { pixel, screen }: PointerAt): void {
    this.remark.set({ kind, pixel, screen });
  }

  /** Layers and panels follow what the document says, whoever changed it. */
  #follow(changes: readonly Change[]): void {
    for (const { after } of changes) {
      const { object_id: id, deleted } = after.state;
      if (deleted) this.objects.marked.delete(id);
      if (id === this.activeId && after !== this.#active) {
        this.#active = deleted ? null : after;
        this.reloadActive();
      }
      this.showObject(id);
    }
    this.changed();
  }
}
