/** A picture with masks to look at and to pick. */

import type { BrowsedMask, ImageInfo } from '../api/types';
import { bounds, fromRle, type Runs } from '../rle';
import { colourOf, packed } from './colours';
import { Composite } from './composite';
import { edgeFor, Layer, type LayerStyle } from './layer';
import { drawClick } from './marks';
import { Plane, SET } from './plane';
import { isEmpty } from './rect';
import { Stage, type PointerAt, type StageHandler } from './stage';
import type { View } from './view';

const PICKED_FILL = 0.5;
const OTHERS_FADE = 0.55;

export class Viewer implements StageHandler {
  readonly #stage: Stage;
  readonly #composite: Composite;
  readonly #picked: Layer;
  readonly #plane: Plane;
  #style: LayerStyle = { outlineOnly: false, edge: 1 };
  readonly #fill = new Uint32Array(2);
  readonly #line = Uint32Array.of(0, packed({ red: 255, green: 255, blue: 255 }, 0.95));
  #masks: readonly BrowsedMask[] = [];
  #runs: Runs[] = [];
  #selected: number | null = null;

  constructor(
    holder: HTMLElement,
    image: ImageInfo,
    picture: ImageBitmap,
    testid: string,
    private readonly onselect: (index: number | null) => void,
  ) {
    const { width, height } = image;
    this.#composite = new Composite(width, height);
    this.#picked = new Layer(width, height);
    this.#plane = new Plane(width, height);
    this.#stage = new Stage(holder, picture, this);
    this.#stage.mark(testid);
    this.#style = { outlineOnly: false, edge: edgeFor(this.#stage.view.scale) };
  }

  close(): void {
    this.#stage.close();
  }

  show(masks: readonly BrowsedMask[]): void {
    for (let k = masks.length; k < this.#masks.length; k++) this.#composite.show(String(k), null, colourOf(k));
    this.#masks = masks;
    this.#runs = masks.map(({ mask }) => fromRle(mask));
    this.#runs.forEach((runs, k) => this.#composite.show(String(k), runs, colourOf(k)));
    this.select(null);
  }

  select(index: number | null): void {
    this.#selected = index !== null && index < this.#runs.length ? index : null;
    const runs = this.#selected === null ? null : this.#runs[this.#selected]!;
    this.#fill[1] = packed(colourOf(this.#selected ?? 0), PICKED_FILL);
    this.#picked.invalidate(this.#plane.load(runs, null));
    if (runs !== null && !isEmpty(bounds(runs)) && !this.#stage.sees(bounds(runs))) this.#stage.fit();
    this.#stage.redraw('masks', 'marks');
  }

  fit(): void {
    this.#stage.fit();
  }

  beforeMasks(): void {
    this.#composite.flush(this.#style);
    this.#picked.flush(this.#plane.pixels, SET, this.#fill, this.#line, this.#style);
  }

  drawMasks(context: CanvasRenderingContext2D): void {
    context.globalAlpha = this.#selected === null ? 0.9 : OTHERS_FADE;
    context.drawImage(this.#composite.layer.canvas, 0, 0);
    context.globalAlpha = 1;
    if (this.#selected !== null) context.drawImage(this.#picked.canvas, 0, 0);
  }

  drawMarks(context: CanvasRenderingContext2D, view: View): void {
    const points = this.#selected === null ? [] : this.#masks[this.#selected]!.point_coords;
    for (const pixel of points) drawClick(context, view, pixel, 1, 'plain');
  }

  press(at: PointerAt): void {
    const id = this.#at(at);
    this.onselect(id === this.#selected ? null : id);
  }

  hover(at: PointerAt | null): void {
    this.#stage.cursor = at !== null && this.#at(at) !== null ? 'pointer' : 'default';
  }

  doubleClick(): void {
    this.#stage.fit();
  }

  viewChanged(): void {}
  drag(): void {}
  release(): void {}
  cancel(): void {}
  wheelWithCtrl(): void {}

  #at({ pixel }: PointerAt): number | null {
    const id = this.#composite.at(Math.round(pixel[0]), Math.round(pixel[1]));
    return id === null ? null : Number(id);
  }
}
