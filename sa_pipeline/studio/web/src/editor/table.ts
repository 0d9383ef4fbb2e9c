/** The workspace on the screen: pointer gestures go to the tool in use, and everything is drawn in its order. */

import { get } from 'svelte/store';
import { drawBox, drawClick } from './marks';
import { stepBrush, type ToolName } from './options';
import { Stage, type PointerAt, type StageHandler } from './stage';
import { fromPixel, type View } from './view';
import type { Workspace } from './workspace';

export class Table implements StageHandler {
  /** All masks are hidden while a key is held. */
  #peeking = false;
  #pointer: PointerAt | null = null;
  /** Draws what does not belong to objects, such as pins. */
  drawMore: ((context: CanvasRenderingContext2D, view: View) => void) | null = null;

  constructor(private readonly workspace: Workspace) {}

  /** Put the picture into the page; returns the call that takes it out again. */
  mount(holder: HTMLElement, picture: ImageBitmap, testid: string): () => void {
    const { workspace } = this;
    const stage = new Stage(holder, picture, this);
    stage.mark(testid);
    workspace.stage = stage;
    workspace.layers.scaleTo(stage.view.scale, false);
    let tool: ToolName | null = null;
    const unsubscribe = workspace.options.subscribe((options) => {
      stage.adjustPicture(options.brightness, options.contrast);
      if (tool !== null && tool !== options.tool) workspace.toolNamed(tool).cancel?.();
      tool = options.tool;
      stage.cursor = workspace.tool.cursor;
      workspace.hoveredClick = null;
      if (tool !== 'sam') workspace.sam.hover(null, 1);
      workspace.layers.outlineOnly = options.outlineOnly;
      stage.redraw('masks', 'marks');
    });
    return () => {
      unsubscribe();
      stage.close();
      workspace.stage = null;
    };
  }

  peek(hidden: boolean): void {
    this.#peeking = hidden;
    this.workspace.stage?.redraw('masks', 'marks');
  }

  press(at: PointerAt, button: 'left' | 'right', time: number): void {
    const { workspace } = this;
    workspace.clock.touch(performance.now());
    const tool = at.ctrl && button === 'left' ? workspace.toolNamed('select') : workspace.tool;
    tool.press(at, button, time);
  }

  drag(path: readonly PointerAt[]): void {
    this.workspace.clock.touch(performance.now());
    this.#pointer = path.at(-1)!;
    this.workspace.tool.drag?.(path);
    this.workspace.stage?.redraw('marks');
  }

  release(at: PointerAt): void {
    this.workspace.tool.release?.(at);
  }

  cancel(): void {
    this.workspace.tool.cancel?.();
  }

  hover(at: PointerAt | null): void {
    this.workspace.clock.touch(performance.now());
    this.#pointer = at;
    this.workspace.tool.hover?.(at);
    this.workspace.stage?.redraw('marks');
  }

  doubleClick(at: PointerAt): void {
    this.workspace.tool.doubleClick?.(at);
  }

  wheelWithCtrl(direction: 1 | -1): void {
    stepBrush(this.workspace.options, direction);
  }

  viewChanged({ scale }: View): void {
    this.workspace.layers.scaleTo(scale);
  }

  beforeMasks(): void {
    this.workspace.layers.flush();
  }

  drawMasks(context: CanvasRenderingContext2D): void {
    if (this.#peeking) return;
    const { workspace } = this;
    const { opacity } = get(workspace.options);
    const id = workspace.activeId;
    const openShown = id !== null && !workspace.objects.hidden.has(id);
    workspace.layers.draw(context, opacity, id !== null, openShown, workspace.sam.preview);
  }

  drawMarks(context: CanvasRenderingContext2D, view: View): void {
    const { workspace } = this;
    this.drawMore?.(context, view);
    if (!this.#peeking) this.#drawPrompts(context, view);
    workspace.tool.drawMarks?.(context, view, this.#pointer);
  }

  #drawPrompts(context: CanvasRenderingContext2D, view: View): void {
    const { active, sam, hoveredClick } = this.workspace;
    if (active !== null) {
      const { point_coords: points, point_labels: labels, box } = active.state.prompts;
      if (box !== null) {
        const [x0, y0] = fromPixel([box[0], box[1]]);
        const [x1, y1] = fromPixel([box[2], box[3]]);
        drawBox(context, view, [x0, y0, x1, y1]);
      }
      points.forEach((pixel, k) => drawClick(context, view, pixel, labels[k]!, k === hoveredClick ? 'hovered' : 'plain'));
    }
    for (const pending of sam.pending) {
      if (pending.label !== null) drawClick(context, view, pending.pixel, pending.label, 'pending');
    }
  }
}
