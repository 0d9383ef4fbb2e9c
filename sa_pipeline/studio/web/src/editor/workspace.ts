/** One task on the table: its objects, the one that is open, the layers on the screen, and what commands do to them. */

import { get, writable, type Readable, type Writable } from 'svelte/store';
import type { Event as TaskEvent, ImageInfo, ObjectState, Tool } from '../api/types';
import { DecoderService, type DecoderSources } from '../decoder/service';
import { area, bounds, subtract, union, type Runs } from '../rle';
import { ActiveClock } from './clock';
import { colourOf, css, packed, type Colour } from './colours';
import { Composite } from './composite';
import { edited, TaskDocument, unborn, type Change, type Snapshot } from './document';
import { edgeFor, Layer, type LayerStyle } from './layer';
import { drawClick } from './marks';
import { change, loadOptions, stepBrush, type Options, type ToolName } from './options';
import { Plane, SET } from './plane';
import { behind, moved } from './prominence';
import { intersect, isEmpty, type Rect } from './rect';
import { SamPrompting } from './sam';
import { Stage, type PointerAt, type StageHandler } from './stage';
import { BrushTool, PlaceTool, PolygonTool, SamTool, SelectTool, type PointerTool } from './tools';
import { tidyRuns } from './tidy';
import type { Point, View } from './view';

const OPEN_FILL = packed({ red: 255, green: 255, blue: 255 }, 0.9);
const OPEN_ALPHA = 0.5;
const PREVIEW_COLOUR: Colour = { red: 255, green: 255, blue: 255 };

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

export class Workspace implements StageHandler {
  readonly image: ImageInfo;
  readonly document: TaskDocument;
  readonly plane: Plane;
  readonly decoder: DecoderService;
  readonly sam: SamPrompting;
  readonly options: Writable<Options> = loadOptions();
  readonly clock = new ActiveClock(performance.now());
  /** Counts what panels show. */
  readonly changes: Readable<number>;
  /** A sentence for the person, replaced by the next. */
  readonly said = writable<{ text: string; count: number }>({ text: '', count: 0 });
  readonly remark = writable<RemarkDraft | null>(null);
  readonly hidden = new Set<string>();
  readonly locked = new Set<string>();
  /** Marked for merging. */
  readonly marked = new Set<string>();
  readonly seen: Set<string>;
  stage: Stage | null = null;
  /** The click under the pointer, by its place among the open object's. */
  hoveredClick: number | null = null;
  hoveredObject: string | null = null;
  stroking = false;
  peeking = false;
  /** Draws what does not belong to objects, such as pins. */
  drawMore: ((context: CanvasRenderingContext2D, view: View) => void) | null = null;

  readonly #changes = writable(0);
  readonly #writable: boolean;
  readonly #composite: Composite;
  readonly #openLayer: Layer;
  readonly #openFill = new Uint32Array(2);
  readonly #openLine = Uint32Array.of(0, OPEN_FILL);
  readonly #previewLayer: OffscreenCanvas = new OffscreenCanvas(1, 1);
  readonly #colours = new Map<string, Colour>();
  readonly #tools: Record<ToolName, PointerTool>;
  readonly #edge: number;
  #active: Snapshot | null = null;
  #pointer: PointerAt | null = null;
  #previewOf: unknown = null;
  #style: LayerStyle;

  constructor(input: WorkspaceInput) {
    const { image } = input;
    this.image = image;
    this.#writable = input.writable;
    this.seen = new Set(input.seen);
    this.changes = { subscribe: this.#changes.subscribe };
    this.plane = new Plane(image.width, image.height);
    this.#composite = new Composite(image.width, image.height);
    this.#openLayer = new Layer(image.width, image.height);
    this.#edge = edgeFor(image.width, image.height);
    this.#style = { outlineOnly: get(this.options).outlineOnly, edge: this.#edge };
    this.decoder = new DecoderService(image, input.sources);
    this.sam = new SamPrompting(this, this.decoder);
    this.document = new TaskDocument(input.objects, input.record, {
      now: () => Date.now() / 1000,
      takeActiveSeconds: () => this.clock.takeSeconds(performance.now()),
    });
    this.#tools = {
      sam: new SamTool(this, false),
      box: new SamTool(this, true),
      brush: new BrushTool(this, true),
      eraser: new BrushTool(this, false),
      'polygon-add': new PolygonTool(this, true),
      'polygon-cut': new PolygonTool(this, false),
      select: new SelectTool(this),
      pin: new PlaceTool(this, 'pin'),
      unclear: new PlaceTool(this, 'unclear'),
    };
    for (const { state, runs } of this.document.objects()) this.#composite.show(state.object_id, runs, this.colour(state.object_id));
    this.document.listen((changed) => this.#follow(changed));
  }

  /** Put the picture into the page. */
  mount(holder: HTMLElement, picture: ImageBitmap, testid: string): () => void {
    const stage = new Stage(holder, picture, this);
    stage.mark(testid);
    this.stage = stage;
    let tool: ToolName | null = null;
    const unsubscribe = this.options.subscribe((options) => {
      stage.adjustPicture(options.brightness, options.contrast);
      if (tool !== null && tool !== options.tool) this.#tools[tool].cancel?.();
      tool = options.tool;
      stage.cursor = this.#tools[tool].cursor;
      if (!['sam', 'box'].includes(tool)) this.sam.hover(null, 1);
      if (options.outlineOnly !== this.#style.outlineOnly) {
        this.#style = { outlineOnly: options.outlineOnly, edge: this.#edge };
        this.#composite.layer.invalidateAll();
        this.#openLayer.invalidate(this.plane.used);
      }
      stage.redraw('masks', 'marks');
    });
    return () => {
      unsubscribe();
      stage.close();
      this.stage = null;
    };
  }

  close(): void {
    this.decoder.close();
  }

  get active(): Snapshot | null {
    return this.#active;
  }

  get activeId(): string | null {
    return this.#active?.state.object_id ?? null;
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

  colour(id: string): Colour {
    let colour = this.#colours.get(id);
    if (colour === undefined) {
      colour = colourOf(this.#colours.size);
      this.#colours.set(id, colour);
    }
    return colour;
  }

  swatch(id: string): string {
    return css(this.colour(id));
  }

  inside([x, y]: Point): boolean {
    return x > -0.5 && y > -0.5 && x < this.image.width - 0.5 && y < this.image.height - 0.5;
  }

  /** Whether the open object may be changed; says why not. */
  mayChange(): boolean {
    if (!this.#writable) this.say('This picture is open to look at only');
    else if (this.activeId !== null && this.locked.has(this.activeId)) this.say('The object is locked: unlock it first (K)');
    else return true;
    return false;
  }

  // --- the open object ---

  /** Keep the open object as it is, and open this one, or none. */
  open(id: string | null): void {
    this.#leave();
    const snapshot = id === null ? undefined : this.document.get(id);
    this.#active = snapshot ?? null;
    if (snapshot !== undefined) this.#composite.show(snapshot.state.object_id, null, this.colour(snapshot.state.object_id));
    this.reloadActive();
    this.clock.startMask(performance.now());
    this.changed();
  }

  /** A new object, which comes to be with its first change. */
  openNew(): Snapshot {
    this.open(null);
    const prominences = this.document.objects().map(({ state }) => state.prominence);
    this.#active = unborn(crypto.randomUUID(), behind(prominences));
    this.#colourOpen();
    return this.#active;
  }

  /** One undoable action on the open object. */
  commitActive(tool: Tool, what: Parameters<typeof edited>[1]): void {
    if (this.#active === null) return;
    const change = edited(this.#active, what);
    this.#active = change.after;
    this.document.commit(tool, [change]);
  }

  paintActive(rect: Rect): void {
    this.#openLayer.invalidate(rect);
    this.stage?.redraw('masks');
  }

  reloadActive(): void {
    this.#colourOpen();
    this.paintActive(this.plane.load(this.#active?.runs ?? null, this.#active?.manual ?? null));
  }

  /** Done with the open object. */
  keep(): void {
    if (this.#tools[get(this.options).tool].complete?.() === true) return;
    this.#confirm();
    this.open(null);
  }

  tidy(): void {
    if (this.#active?.runs == null || !this.mayChange()) return;
    const before = this.#active.runs;
    const after = tidyRuns(before);
    const different = union(subtract(before, after), subtract(after, before));
    if (area(different) === 0) return this.say('No small holes or islands');
    const manual = this.#active.manual === null ? different : union(this.#active.manual, different);
    this.commitActive('tidy', { runs: after, manual });
    this.reloadActive();
    this.say('Small holes filled, small islands dropped');
  }

  /** Name the open object, or say what it is. */
  describe(what: Partial<Pick<ObjectState, 'label' | 'kind' | 'unnameable'>>): void {
    if (this.#active === null) return this.say('Open an object first');
    if (this.mayChange()) this.commitActive('label', { state: what });
  }

  #leave(): void {
    this.sam.drop();
    const active = this.#active;
    this.#active = null;
    if (active === null || active.state.deleted) return;
    this.seen.add(active.state.object_id);
    const empty = active.runs === null || area(active.runs) === 0;
    if (empty && active.state.label === '') {
      this.document.commit('delete', [edited(active, { state: { deleted: true } })]);
    } else if (!empty && get(this.options).noOverlap && this.#writable) {
      this.#takeFromOthers(active);
    }
    const { object_id: id } = active.state;
    this.#composite.show(id, this.hidden.has(id) ? null : (this.document.get(id)?.runs ?? null), this.colour(id));
  }

  /** A pre-filled mask that is left as it is was looked at, which is worth knowing. */
  #confirm(): void {
    const active = this.#active;
    if (active === null || active.state.source === 'manual' || this.seen.has(active.state.object_id) || !this.#writable) return;
    this.document.note('confirm', active);
  }

  #takeFromOthers(active: Snapshot): void {
    let own: Runs = active.runs!;
    const changes: Change[] = [];
    const ownBounds = bounds(own);
    for (const other of this.document.objects()) {
      const { object_id: id } = other.state;
      if (id === active.state.object_id || other.runs === null) continue;
      if (isEmpty(intersect(bounds(other.runs), ownBounds))) continue;
      if (this.locked.has(id)) own = subtract(own, other.runs);
      else {
        const rest = subtract(other.runs, own);
        if (area(rest) !== area(other.runs)) changes.push(edited(other, { runs: rest, logits: null }));
      }
    }
    if (area(own) !== area(active.runs!)) changes.push(edited(active, { runs: own, logits: null }));
    this.document.commit('no_overlap', changes);
  }

  // --- all objects ---

  undo(): void {
    this.sam.drop();
    if (this.#tools[get(this.options).tool].cancel?.() === true && this.stroking) return;
    this.#revisit(this.document.undo(), 'Undone', 'Nothing to undo');
  }

  redo(): void {
    this.sam.drop();
    this.#revisit(this.document.redo(), 'Done again', 'Nothing to redo');
  }

  #revisit(step: ReturnType<TaskDocument['undo']>, verb: string, nothing: string): void {
    if (step === null) return this.say(nothing);
    const concerned = step.tool === 'no_overlap' ? null : step.changes[0]!.after.state.object_id;
    if (concerned !== null && concerned !== this.activeId) {
      if (this.document.get(concerned) !== undefined) this.open(concerned);
    }
    this.say(`${verb}: ${step.tool.replace('_', ' ')}`);
    this.changed();
  }

  /** Deletes the click under the pointer, or else the object. */
  deleteUnderPointer(): void {
    if (!this.mayChange()) return;
    if (this.hoveredClick !== null && this.#active !== null) {
      const index = this.hoveredClick;
      this.hoveredClick = null;
      this.sam.removePoint(index);
    } else if (this.activeId !== null) {
      this.delete(this.activeId);
    } else if (this.marked.size > 0) {
      const doomed = [...this.marked].filter((id) => !this.locked.has(id)).map((id) => this.document.get(id));
      this.marked.clear();
      this.document.commit('delete', doomed.filter((each) => each !== undefined).map((each) => edited(each, { state: { deleted: true } })));
    }
  }

  delete(id: string): void {
    const snapshot = this.document.get(id);
    if (!this.#writable || this.locked.has(id)) return void this.say('The object is locked: unlock it first (K)');
    if (snapshot === undefined) return this.open(null);
    if (id === this.activeId) {
      this.sam.drop();
      this.#active = null;
      this.reloadActive();
    }
    this.document.commit('delete', [edited(snapshot, { state: { deleted: true } })]);
  }

  toggleMarked(id: string): void {
    if (!this.marked.delete(id)) this.marked.add(id);
    this.changed();
  }

  /** Into the most prominent of the marked objects, the open one included. */
  merge(): void {
    const ids = new Set([...this.marked, ...(this.activeId === null ? [] : [this.activeId])]);
    const parts = this.document.objects().filter(({ state, runs }) => ids.has(state.object_id) && runs !== null);
    if (parts.length < 2) return this.say('Mark two objects or more first: Shift+click them in the list');
    if (!this.#writable || parts.some(({ state }) => this.locked.has(state.object_id))) return this.say('A marked object is locked');
    this.open(null);
    this.marked.clear();
    const [target, ...rest] = parts as [Snapshot, ...Snapshot[]];
    const runs = parts.map((part) => part.runs!).reduce(union);
    const label = parts.find((part) => part.state.label !== '')?.state.label ?? '';
    this.document.commit('merge', [
      edited(target, { runs, logits: null, state: { label } }),
      ...rest.map((part) => edited(part, { state: { deleted: true } })),
    ]);
    this.open(target.state.object_id);
  }

  /** Move an object to another place in the order of prominence. */
  move(id: string, place: number): void {
    if (!this.#writable) return;
    const objects = this.document.objects();
    const from = objects.findIndex(({ state }) => state.object_id === id);
    const to = Math.min(objects.length - 1, Math.max(0, place));
    if (from < 0 || from === to) return;
    const numbers = moved(objects.map(({ state }) => state.prominence), from, to);
    this.document.commit('order', [...numbers].map(([k, prominence]) => edited(objects[k]!, { state: { prominence } })));
  }

  moveActive(direction: 1 | -1): void {
    const id = this.activeId;
    const from = this.document.objects().findIndex(({ state }) => state.object_id === id);
    if (id !== null && from >= 0) this.move(id, from + direction);
  }

  /** The object before or behind in the list. */
  step(direction: 1 | -1): void {
    const objects = this.document.objects();
    if (objects.length === 0) return;
    const from = objects.findIndex(({ state }) => state.object_id === this.activeId);
    const to = from < 0 ? (direction === 1 ? 0 : objects.length - 1) : (from + direction + objects.length) % objects.length;
    this.openInSight(objects[to]!.state.object_id);
  }

  /** The next mask that no person made and nobody has looked at; it is kept by going on. */
  nextPrefilled(direction: 1 | -1): void {
    if (direction === 1) this.#confirm();
    const before = this.activeId;
    if (before !== null) this.seen.add(before);
    const objects = this.document.objects();
    const from = objects.findIndex(({ state }) => state.object_id === before);
    const wanted = ({ state }: Snapshot): boolean =>
      state.source !== 'manual' && (direction === -1 || !this.seen.has(state.object_id));
    const next =
      direction === 1
        ? (objects.slice(from + 1).find(wanted) ?? objects.find(wanted))
        : objects.slice(0, Math.max(0, from)).reverse().find(wanted);
    if (next !== undefined) return this.openInSight(next.state.object_id);
    this.open(null);
    this.say('Every pre-filled mask has been looked at');
  }

  openInSight(id: string): void {
    this.open(id);
    const runs = this.#active?.runs;
    if (runs == null) return;
    const rect = bounds(runs);
    if (!isEmpty(rect) && this.stage?.sees(rect) === false) this.stage.zoomTo(rect);
  }

  zoomToActive(): void {
    if (this.#active?.runs != null && area(this.#active.runs) > 0) this.stage?.zoomTo(bounds(this.#active.runs));
  }

  toggleHidden(id: string): void {
    if (!this.hidden.delete(id)) this.hidden.add(id);
    if (id !== this.activeId) this.#composite.show(id, this.hidden.has(id) ? null : (this.document.get(id)?.runs ?? null), this.colour(id));
    this.stage?.redraw('masks');
    this.changed();
  }

  toggleLocked(id: string): void {
    if (!this.locked.delete(id)) this.locked.add(id);
    this.changed();
  }

  peek(hidden: boolean): void {
    this.peeking = hidden;
    this.stage?.redraw('masks', 'marks');
  }

  objectAt({ pixel }: PointerAt): string | null {
    return this.objectNear(pixel);
  }

  objectNear(pixel: Point): string | null {
    const [x, y] = [Math.round(pixel[0]), Math.round(pixel[1])];
    return this.plane.isSet(x, y) ? this.activeId : this.#composite.at(x, y);
  }

  hoverObject(id: string | null): void {
    if (id === this.hoveredObject) return;
    this.hoveredObject = id;
    this.changed();
  }

  startRemark(kind: 'pin' | 'unclear', { pixel, screen }: PointerAt): void {
    this.remark.set({ kind, pixel, screen });
  }

  /** Escape: what is being drawn, then the clicks, then the object. */
  escape(): void {
    if (this.#tools[get(this.options).tool].cancel?.() === true) return;
    if (this.#active === null) return;
    const { prompts } = this.#active.state;
    if (this.#active.logits !== null && (prompts.point_coords.length > 0 || prompts.box !== null)) this.sam.clear();
    else this.open(null);
  }

  /** Layers and panels follow what the document says, whoever changed it. */
  #follow(changed: readonly Change[]): void {
    for (const { after } of changed) {
      const { object_id: id, deleted } = after.state;
      if (id === this.activeId) {
        if (after === this.#active) continue;
        this.#active = deleted ? null : after;
        this.reloadActive();
      } else {
        this.#composite.show(id, deleted || this.hidden.has(id) ? null : after.runs, this.colour(id));
      }
      if (deleted) this.marked.delete(id);
    }
    this.stage?.redraw('masks');
    this.changed();
  }

  #colourOpen(): void {
    if (this.activeId !== null) this.#openFill[1] = packed(this.colour(this.activeId), OPEN_ALPHA);
  }

  // --- StageHandler ---

  get #tool(): PointerTool {
    return this.#tools[get(this.options).tool];
  }

  press(at: PointerAt, button: 'left' | 'right', time: number): void {
    this.clock.touch(performance.now());
    if (at.ctrl && button === 'left') this.#tools.select.press(at, button, time);
    else this.#tool.press(at, button, time);
  }

  drag(path: readonly PointerAt[]): void {
    this.clock.touch(performance.now());
    this.#tool.drag?.(path);
  }

  release(at: PointerAt): void {
    this.#tool.release?.(at);
  }

  cancel(): void {
    this.#tool.cancel?.();
  }

  hover(at: PointerAt | null): void {
    this.clock.touch(performance.now());
    this.#pointer = at;
    this.#tool.hover?.(at);
  }

  pointerAt(at: PointerAt): void {
    this.#pointer = at;
    this.stage?.redraw('marks');
  }

  doubleClick(at: PointerAt): void {
    this.#tool.doubleClick?.(at);
  }

  wheelWithCtrl(direction: 1 | -1): void {
    stepBrush(this.options, direction);
  }

  beforeMasks(): void {
    this.#composite.flush(this.#style);
    this.#openLayer.flush(this.plane.pixels, SET, this.#openFill, this.#openLine, this.#style);
  }

  drawMasks(context: CanvasRenderingContext2D): void {
    if (this.peeking) return;
    const { opacity } = get(this.options);
    context.globalAlpha = this.#active === null ? opacity : opacity * 0.7;
    context.drawImage(this.#composite.layer.canvas, 0, 0);
    context.globalAlpha = opacity;
    if (this.#active !== null && !this.hidden.has(this.#active.state.object_id)) context.drawImage(this.#openLayer.canvas, 0, 0);
    this.#drawPreview(context);
  }

  drawMarks(context: CanvasRenderingContext2D, view: View): void {
    this.drawMore?.(context, view);
    if (this.#active !== null && !this.peeking) {
      const { point_coords: points, point_labels: labels } = this.#active.state.prompts;
      points.forEach((pixel, k) => drawClick(context, view, pixel, labels[k]!, k === this.hoveredClick ? 'hovered' : 'plain'));
    }
    for (const { pixel, label } of this.sam.pending) drawClick(context, view, pixel, label, 'pending');
    this.#tool.drawMarks?.(context, view, this.#pointer);
  }

  #drawPreview(context: CanvasRenderingContext2D): void {
    const crop = this.sam.preview;
    if (crop === null || crop.width === 0 || crop.height === 0) return;
    if (this.#previewOf !== crop) {
      this.#previewOf = crop;
      this.#previewLayer.width = crop.width;
      this.#previewLayer.height = crop.height;
      const image = new ImageData(crop.width, crop.height);
      const words = new Uint32Array(image.data.buffer);
      const word = packed(PREVIEW_COLOUR, 0.45);
      for (let i = 0; i < words.length; i++) if (crop.pixels[i] === 1) words[i] = word;
      this.#previewLayer.getContext('2d')!.putImageData(image, 0, 0);
    }
    context.drawImage(this.#previewLayer, crop.x, crop.y);
  }

  useTool(tool: ToolName): void {
    change(this.options, { tool });
  }
}
