/** What the pointer does with each tool. */

import { get } from 'svelte/store';
import { forEachTouched, snap, type Brush } from './brush';
import { drawBox, drawBrush, drawPolygon, POINT_RADIUS } from './marks';
import { change, type ToolName } from './options';
import { forEachInside } from './polygon';
import type { PointerAt } from './stage';
import { fromPixel, toScreen, type Point, type View } from './view';
import type { Workspace } from './workspace';

export interface PointerTool {
  readonly cursor: string;
  press(at: PointerAt, button: 'left' | 'right', time: number): void;
  drag?(path: readonly PointerAt[]): void;
  release?(at: PointerAt): void;
  hover?(at: PointerAt | null): void;
  doubleClick?(at: PointerAt): void;
  /** Enter: whether the tool had something to complete. */
  complete?(): boolean;
  /** Escape: whether the tool had something to drop. */
  cancel?(): boolean;
  /** Undo: whether the tool had something of its own to take back. */
  takeBack?(): boolean;
  drawMarks?(context: CanvasRenderingContext2D, view: View, at: PointerAt | null): void;
}

export function toolsOf(workspace: Workspace): Record<ToolName, PointerTool> {
  return {
    sam: new SamTool(workspace, false),
    box: new SamTool(workspace, true),
    brush: new BrushTool(workspace, true),
    eraser: new BrushTool(workspace, false),
    'polygon-add': new PolygonTool(workspace, true),
    'polygon-cut': new PolygonTool(workspace, false),
    select: new SelectTool(workspace),
    pin: new PlaceTool(workspace, 'pin'),
    unclear: new PlaceTool(workspace, 'unclear'),
  };
}

const DRAG_FROM = 6;

/** Left click: foreground; right click, or Alt: background; a drag: a box. */
class SamTool implements PointerTool {
  readonly cursor = 'crosshair';
  #from: PointerAt | null = null;
  #to: PointerAt | null = null;
  #button: 'left' | 'right' = 'left';
  #time = 0;

  constructor(
    private readonly workspace: Workspace,
    private readonly boxOnly: boolean,
  ) {}

  press(at: PointerAt, button: 'left' | 'right', time: number): void {
    if (!this.workspace.mayChange()) return;
    this.#from = at;
    this.#to = null;
    this.#button = button;
    this.#time = time;
  }

  drag(path: readonly PointerAt[]): void {
    const last = path.at(-1)!;
    if (this.#from === null || this.#button === 'right') return;
    const far = Math.hypot(last.screen[0] - this.#from.screen[0], last.screen[1] - this.#from.screen[1]) >= DRAG_FROM;
    if (this.#to !== null || far) this.#to = last;
  }

  release(at: PointerAt): void {
    const from = this.#from;
    const { sam } = this.workspace;
    const boxed = this.#to !== null;
    this.cancel();
    if (from === null) return;
    if (boxed) {
      const clamp = (value: number, most: number): number => Math.min(Math.max(value, 0), most - 1);
      const { width, height } = this.workspace.image;
      const xs = [from.pixel[0], at.pixel[0]].map((x) => clamp(x, width)).sort((a, b) => a - b);
      const ys = [from.pixel[1], at.pixel[1]].map((y) => clamp(y, height)).sort((a, b) => a - b);
      if (xs[1]! > xs[0]! && ys[1]! > ys[0]!) sam.box([xs[0]!, ys[0]!, xs[1]!, ys[1]!], performance.now());
    } else if (!this.boxOnly && this.workspace.inside(from.pixel)) {
      const hit = this.#clickAt(from);
      if (hit !== null) sam.removePoint(hit);
      else sam.click(from.pixel, this.#button === 'right' || from.alt ? 0 : 1, this.#time);
    }
  }

  hover(at: PointerAt | null): void {
    const { workspace } = this;
    const point = at === null ? null : this.#clickAt(at);
    workspace.hoveredClick = point;
    const wanted =
      at !== null && point === null && !this.boxOnly && get(workspace.options).hoverPreview && workspace.inside(at.pixel);
    workspace.sam.hover(wanted ? at.pixel : null, at?.alt === true ? 0 : 1);
  }

  cancel(): boolean {
    const had = this.#from !== null;
    this.#from = this.#to = null;
    this.workspace.stage?.redraw('marks');
    return had;
  }

  drawMarks(context: CanvasRenderingContext2D, view: View): void {
    if (this.#from === null || this.#to === null) return;
    drawBox(context, view, [...this.#from.picture, ...this.#to.picture] as [number, number, number, number]);
  }

  /** The click that is drawn under the pointer. */
  #clickAt({ screen }: PointerAt): number | null {
    const { active, stage } = this.workspace;
    if (active === null || stage === null) return null;
    const near = active.state.prompts.point_coords.findIndex((pixel) => {
      const [x, y] = toScreen(stage.view, fromPixel(pixel));
      return Math.hypot(x - screen[0], y - screen[1]) <= POINT_RADIUS + 2;
    });
    return near < 0 ? null : near;
  }
}

/** Brush and eraser; Shift or the right button does the other's work. */
class BrushTool implements PointerTool {
  readonly cursor = 'none';
  #last: Point | null = null;
  #on = true;

  constructor(
    private readonly workspace: Workspace,
    private readonly paints: boolean,
  ) {}

  press(at: PointerAt, button: 'left' | 'right'): void {
    const { workspace } = this;
    if (!workspace.mayChange()) return;
    this.#on = this.paints !== (at.shift || button === 'right');
    if (workspace.active === null) {
      if (!this.#on) return workspace.say('There is no open object to erase from');
      workspace.openNew();
    }
    workspace.stroking = true;
    this.#last = snap(this.#brush.size, at.picture);
    this.#paintTo(this.#last);
  }

  drag(path: readonly PointerAt[]): void {
    if (this.#last === null) return;
    for (const { picture } of path) this.#paintTo(snap(this.#brush.size, picture));
  }

  release(): void {
    const { workspace } = this;
    if (this.#last === null) return;
    this.#last = null;
    workspace.stroking = false;
    const { plane } = workspace;
    workspace.commitActive(this.#on ? 'brush' : 'eraser', { runs: plane.runs(), manual: plane.manual() });
  }

  takeBack(): boolean {
    return this.cancel();
  }

  cancel(): boolean {
    if (this.#last === null) return false;
    this.#last = null;
    this.workspace.stroking = false;
    this.workspace.reloadActive();
    return true;
  }

  drawMarks(context: CanvasRenderingContext2D, view: View, at: PointerAt | null): void {
    const { size, shape } = this.#brush;
    if (at !== null) drawBrush(context, view, snap(size, at.picture), size, shape);
  }

  get #brush(): Brush {
    const { brushSize, brushShape } = get(this.workspace.options);
    return { size: brushSize, shape: brushShape };
  }

  #paintTo(to: Point): void {
    const { plane } = this.workspace;
    const rect = forEachTouched(this.#brush, this.#last!, to, plane.picture, (x, y) => plane.paint(x, y, this.#on));
    plane.touched(rect);
    this.workspace.paintActive(rect);
    this.#last = to;
  }
}

/** Corners by clicks; a double click, Enter or a click on the first corner closes it. */
class PolygonTool implements PointerTool {
  readonly cursor = 'crosshair';
  #vertices: Point[] = [];

  constructor(
    private readonly workspace: Workspace,
    private readonly adds: boolean,
  ) {}

  press(at: PointerAt, button: 'left' | 'right'): void {
    const { workspace } = this;
    if (!workspace.mayChange()) return;
    if (!this.adds && workspace.active === null) return workspace.say('There is no open object to cut from');
    if (button === 'right') this.#vertices.pop();
    else if (this.#closesAt(at)) this.complete();
    else this.#vertices.push(at.picture);
    workspace.stage?.redraw('marks');
  }

  doubleClick(): void {
    this.complete();
  }

  complete(): boolean {
    const { workspace } = this;
    const vertices = this.#vertices;
    if (vertices.length === 0) return false;
    this.#vertices = [];
    workspace.stage?.redraw('marks');
    if (vertices.length < 3) return true;
    if (workspace.active === null) workspace.openNew();
    const { plane } = workspace;
    const rect = forEachInside(vertices, plane.picture, (x, y) => plane.paint(x, y, this.adds));
    plane.touched(rect);
    workspace.paintActive(rect);
    const tool = this.adds ? 'polygon_add' : 'polygon_cut';
    workspace.commitActive(tool, { runs: plane.runs(), manual: plane.manual() });
    return true;
  }

  takeBack(): boolean {
    const had = this.#vertices.pop() !== undefined;
    this.workspace.stage?.redraw('marks');
    return had;
  }

  cancel(): boolean {
    const had = this.#vertices.length > 0;
    this.#vertices = [];
    this.workspace.stage?.redraw('marks');
    return had;
  }

  drawMarks(context: CanvasRenderingContext2D, view: View, at: PointerAt | null): void {
    if (this.#vertices.length > 0) drawPolygon(context, view, this.#vertices, at?.picture ?? null);
  }

  #closesAt({ screen }: PointerAt): boolean {
    const [first] = this.#vertices;
    if (first === undefined || this.#vertices.length < 3 || this.workspace.stage === null) return false;
    const [x, y] = toScreen(this.workspace.stage.view, first);
    return Math.hypot(x - screen[0], y - screen[1]) <= 8;
  }
}

/** A click opens the object that is seen there. */
class SelectTool implements PointerTool {
  readonly cursor = 'pointer';

  constructor(private readonly workspace: Workspace) {}

  press(at: PointerAt): void {
    const { workspace } = this;
    const id = workspace.objectAt(at.pixel);
    if (at.shift && id !== null) workspace.objects.toggleMarked(id);
    else if (id !== workspace.activeId) workspace.open(id);
  }

  hover(at: PointerAt | null): void {
    this.workspace.hoverObject(at === null ? null : this.workspace.objectAt(at.pixel));
  }
}

/** A click asks for a remark at that place: a reviewer's pin, or an unclear case. */
class PlaceTool implements PointerTool {
  readonly cursor = 'crosshair';

  constructor(
    private readonly workspace: Workspace,
    private readonly kind: 'pin' | 'unclear',
  ) {}

  press(at: PointerAt): void {
    const { workspace } = this;
    if (workspace.inside(at.pixel)) workspace.startRemark(this.kind, at);
  }

  cancel(): boolean {
    change(this.workspace.options, { tool: 'sam' });
    return true;
  }
}
