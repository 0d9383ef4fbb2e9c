/**
 * The picture on the screen: three canvases over each other (picture, masks, marks), each redrawn only when it must
 * be, and the pointer translated into picture coordinates. What the pointer does is the handler's affair.
 */

import { centred, fit, keepInSight, panBy, toPicture, toPixel, toScreen, zoomAt, zoomTo, type Point, type Size, type View } from './view';
import type { Rect } from './rect';

export interface PointerAt {
  /** Screen px of the canvas. */
  readonly screen: Point;
  /** Continuous picture coordinates. */
  readonly picture: Point;
  /** As stored and as SAM takes them. */
  readonly pixel: Point;
  readonly shift: boolean;
  readonly alt: boolean;
  readonly ctrl: boolean;
}

export interface StageHandler {
  press(at: PointerAt, button: 'left' | 'right', time: number): void;
  /** All positions since the last call, in order. */
  drag(path: readonly PointerAt[]): void;
  release(at: PointerAt): void;
  /** The gesture was taken away (pen lifted out of range, dialogue). */
  cancel(): void;
  hover(at: PointerAt | null): void;
  doubleClick(at: PointerAt): void;
  wheelWithCtrl(direction: 1 | -1): void;
  viewChanged(view: View): void;
  /** Bring the mask layers up to date. */
  beforeMasks(): void;
  drawMasks(context: CanvasRenderingContext2D, view: View): void;
  drawMarks(context: CanvasRenderingContext2D, view: View): void;
}

const WHEEL_ZOOM = 0.0015;
const PIXELS_SHOW_FROM = 2;
const GRID_FROM = 12;

interface Surface {
  readonly element: HTMLCanvasElement;
  readonly context: CanvasRenderingContext2D;
  stale: boolean;
}

export class Stage {
  view: View = { scale: 1, x: 0, y: 0 };
  /** Set by the space bar: the left button moves the picture. */
  panning = false;
  readonly #surfaces: Record<'picture' | 'masks' | 'marks', Surface>;
  readonly #resizing: ResizeObserver;
  readonly #ends = new AbortController();
  #screen: Size = { width: 1, height: 1 };
  #fitted = true;
  #gesture: 'none' | 'pan' | 'tool' = 'none';
  #panFrom: Point = [0, 0];
  #frame = 0;
  #drawn: (() => void)[] = [];

  constructor(
    private readonly holder: HTMLElement,
    private readonly picture: ImageBitmap,
    private readonly handler: StageHandler,
  ) {
    this.#surfaces = { picture: this.#surface(), masks: this.#surface(), marks: this.#surface() };
    this.#resizing = new ResizeObserver(() => this.#resize());
    this.#resizing.observe(holder);
    this.#resize();
    this.#listen(this.#surfaces.marks.element);
  }

  close(): void {
    this.#ends.abort();
    this.#resizing.disconnect();
    cancelAnimationFrame(this.#frame);
    for (const { element } of Object.values(this.#surfaces)) element.remove();
  }

  /** A stable name for tests to find the canvas that takes the pointer. */
  mark(testid: string): void {
    this.#surfaces.marks.element.dataset['testid'] = testid;
  }

  set cursor(cursor: string) {
    this.#surfaces.marks.element.style.cursor = cursor;
  }

  adjustPicture(brightness: number, contrast: number): void {
    this.#surfaces.picture.element.style.filter =
      brightness === 1 && contrast === 1 ? '' : `brightness(${brightness}) contrast(${contrast})`;
  }

  show(view: View): void {
    this.#fitted = false;
    this.view = keepInSight(view, this.picture, this.#screen);
    this.handler.viewChanged(this.view);
    this.redraw('picture', 'masks', 'marks');
  }

  fit(): void {
    this.show(fit(this.picture, this.#screen));
    this.#fitted = true;
  }

  actualSize(): void {
    const scale = 1 / devicePixelRatio;
    const middle: Point = [this.#screen.width / 2, this.#screen.height / 2];
    this.show(
      this.#fitted ? centred(this.picture, this.#screen, scale) : zoomAt(this.view, middle, scale / this.view.scale),
    );
  }

  zoom(factor: number, at: Point = [this.#screen.width / 2, this.#screen.height / 2]): void {
    this.show(zoomAt(this.view, at, factor));
  }

  zoomTo(rect: Rect): void {
    this.show(zoomTo(rect, this.#screen));
  }

  /** Whether the rectangle is wholly on the screen. */
  sees(rect: Rect): boolean {
    const [left, top] = toScreen(this.view, [rect.x, rect.y]);
    const [right, bottom] = toScreen(this.view, [rect.x + rect.width, rect.y + rect.height]);
    return left >= 0 && top >= 0 && right <= this.#screen.width && bottom <= this.#screen.height;
  }

  redraw(...which: ('picture' | 'masks' | 'marks')[]): void {
    for (const name of which) this.#surfaces[name].stale = true;
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  /** Page coordinates of the canvas's upper left corner. */
  corner(): Point {
    const { left, top } = this.holder.getBoundingClientRect();
    return [left, top];
  }

  /** Calls back when what is stale now has been drawn. */
  whenDrawn(then: () => void): void {
    this.#drawn.push(then);
    this.redraw('marks');
  }

  #surface(): Surface {
    const element = document.createElement('canvas');
    element.style.cssText = 'position:absolute;inset:0;width:100%;height:100%;touch-action:none';
    this.holder.append(element);
    return { element, context: element.getContext('2d')!, stale: true };
  }

  #resize(): void {
    const { width, height } = this.holder.getBoundingClientRect();
    if (width === 0 || height === 0) return;
    const before = this.#screen;
    this.#screen = { width, height };
    for (const { element } of Object.values(this.#surfaces)) {
      element.width = Math.round(width * devicePixelRatio);
      element.height = Math.round(height * devicePixelRatio);
    }
    if (this.#fitted) this.fit();
    else this.show(panBy(this.view, (width - before.width) / 2, (height - before.height) / 2));
    // A canvas whose size was set is blank until it is drawn again; not waiting for the frame avoids a flash.
    cancelAnimationFrame(this.#frame);
    this.#draw();
  }

  #draw(): void {
    this.#frame = 0;
    const { picture, masks, marks } = this.#surfaces;
    const { view } = this;
    if (picture.stale) {
      this.#toPicture(picture);
      picture.context.imageSmoothingQuality = 'medium';
      picture.context.drawImage(this.picture, 0, 0);
    }
    if (masks.stale) {
      this.handler.beforeMasks();
      this.#toPicture(masks);
      this.handler.drawMasks(masks.context, view);
      masks.context.globalAlpha = 1;
    }
    if (marks.stale) {
      this.#toScreen(marks);
      if (view.scale >= GRID_FROM) this.#drawGrid(marks.context);
      this.handler.drawMarks(marks.context, view);
    }
    picture.stale = masks.stale = marks.stale = false;
    const drawn = this.#drawn;
    this.#drawn = [];
    for (const then of drawn) then();
  }

  #toScreen({ context, element }: Surface): void {
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, element.width, element.height);
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  }

  #toPicture(surface: Surface): void {
    this.#toScreen(surface);
    const { scale, x, y } = this.view;
    const ratio = devicePixelRatio;
    surface.context.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
    surface.context.imageSmoothingEnabled = scale * ratio < PIXELS_SHOW_FROM;
  }

  #drawGrid(context: CanvasRenderingContext2D): void {
    const { view } = this;
    const [left, top] = toPicture(view, [0, 0]);
    const [right, bottom] = toPicture(view, [this.#screen.width, this.#screen.height]);
    const x0 = Math.max(0, Math.floor(left));
    const x1 = Math.min(this.picture.width, Math.ceil(right));
    const y0 = Math.max(0, Math.floor(top));
    const y1 = Math.min(this.picture.height, Math.ceil(bottom));
    context.beginPath();
    for (let x = x0; x <= x1; x++) {
      const at = Math.round(x * view.scale + view.x) + 0.5;
      context.moveTo(at, y0 * view.scale + view.y);
      context.lineTo(at, y1 * view.scale + view.y);
    }
    for (let y = y0; y <= y1; y++) {
      const at = Math.round(y * view.scale + view.y) + 0.5;
      context.moveTo(x0 * view.scale + view.x, at);
      context.lineTo(x1 * view.scale + view.x, at);
    }
    context.strokeStyle = 'rgb(128 128 128 / 35%)';
    context.lineWidth = 1;
    context.stroke();
  }

  #listen(element: HTMLCanvasElement): void {
    const { signal } = this.#ends;
    const on = <K extends keyof HTMLElementEventMap>(type: K, listener: (event: HTMLElementEventMap[K]) => void): void =>
      element.addEventListener(type, listener, { signal, passive: false });
    on('contextmenu', (event) => event.preventDefault());
    on('pointerdown', (event) => this.#pointerDown(element, event));
    on('pointermove', (event) => this.#pointerMove(event));
    on('pointerup', (event) => this.#pointerUp(event));
    on('pointercancel', () => {
      if (this.#gesture === 'tool') this.handler.cancel();
      this.#gesture = 'none';
    });
    on('pointerleave', () => this.handler.hover(null));
    on('dblclick', (event) => this.handler.doubleClick(this.#at(event)));
    on('wheel', (event) => {
      event.preventDefault();
      if (event.ctrlKey) this.handler.wheelWithCtrl(event.deltaY < 0 ? 1 : -1);
      else this.zoom(Math.exp(-event.deltaY * WHEEL_ZOOM), this.#at(event).screen);
    });
  }

  #pointerDown(element: HTMLCanvasElement, event: PointerEvent): void {
    event.preventDefault();
    // Takes the focus out of a text field, so that keys are commands again.
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    if (this.#gesture !== 'none') return;
    element.setPointerCapture(event.pointerId);
    const at = this.#at(event);
    if (event.button === 1 || (event.button === 0 && this.panning)) {
      this.#gesture = 'pan';
      this.#panFrom = at.screen;
    } else if (event.button === 0 || event.button === 2) {
      this.#gesture = 'tool';
      this.handler.press(at, event.button === 0 ? 'left' : 'right', event.timeStamp);
    }
  }

  #pointerMove(event: PointerEvent): void {
    const at = this.#at(event);
    if (this.#gesture === 'pan') {
      this.show(panBy(this.view, at.screen[0] - this.#panFrom[0], at.screen[1] - this.#panFrom[1]));
      this.#panFrom = at.screen;
    } else if (this.#gesture === 'tool') {
      const path = event.getCoalescedEvents();
      this.handler.drag(path.length === 0 ? [at] : path.map((each) => this.#at(each)));
    } else {
      this.handler.hover(at);
    }
  }

  #pointerUp(event: PointerEvent): void {
    const gesture = this.#gesture;
    this.#gesture = 'none';
    if (gesture === 'tool') this.handler.release(this.#at(event));
  }

  #at(event: MouseEvent): PointerAt {
    const box = this.#surfaces.marks.element.getBoundingClientRect();
    const screen: Point = [event.clientX - box.left, event.clientY - box.top];
    const picture = toPicture(this.view, screen);
    return {
      screen,
      picture,
      pixel: toPixel(picture),
      shift: event.shiftKey,
      alt: event.altKey,
      ctrl: event.ctrlKey || event.metaKey,
    };
  }
}
