/** The masks on the screen: those that lie still, the open one, and what a click would give. */

import type { MaskCrop } from '../decoder/enlargement';
import type { Runs } from '../rle';
import { colourOf, css, packed, type Colour } from './colours';
import { Composite } from './composite';
import { edgeFor, Layer, type LayerStyle } from './layer';
import { SET, type Plane } from './plane';
import type { Rect } from './rect';

const WHITE: Colour = { red: 255, green: 255, blue: 255 };
const OPEN_FILL = 0.5;
const OPEN_LINE = 0.95;
const PREVIEW = 0.45;
/** The others step back while one is open. */
const OTHERS = 0.7;
/** Edges follow the zoom once it rests, since that repaints every mask. */
const ZOOM_RESTS_MS = 150;

export class MaskLayers {
  readonly #composite: Composite;
  readonly #open: Layer;
  readonly #openFill = new Uint32Array(2);
  readonly #openLine = Uint32Array.of(0, packed(WHITE, OPEN_LINE));
  readonly #preview = new OffscreenCanvas(1, 1);
  readonly #colours = new Map<string, Colour>();
  #previewed: MaskCrop | null = null;
  #style: LayerStyle = { outlineOnly: false, edge: 1 };
  #wantedEdge = 1;
  #resting: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly plane: Plane,
    private readonly redraw: () => void,
  ) {
    this.#composite = new Composite(plane.width, plane.height);
    this.#open = new Layer(plane.width, plane.height);
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

  /** Show this mask for an object that is not open, or nothing. */
  show(id: string, runs: Runs | null): void {
    this.#composite.show(id, runs, this.colour(id));
    this.redraw();
  }

  /** The plane shows this object from now on. */
  openAs(id: string | null): void {
    if (id !== null) this.#openFill[1] = packed(this.colour(id), OPEN_FILL);
  }

  /** The plane changed here. */
  invalidate(rect: Rect): void {
    this.#open.invalidate(rect);
    this.redraw();
  }

  set outlineOnly(outlineOnly: boolean) {
    if (outlineOnly !== this.#style.outlineOnly) this.#restyle({ ...this.#style, outlineOnly });
  }

  /** Screen px per picture px; `canRest` false: what is seen first has the right edges at once. */
  scaleTo(scale: number, canRest = true): void {
    const edge = edgeFor(scale);
    if (edge === this.#wantedEdge) return;
    this.#wantedEdge = edge;
    clearTimeout(this.#resting);
    if (canRest) this.#resting = setTimeout(() => this.#restyle({ ...this.#style, edge }), ZOOM_RESTS_MS);
    else this.#restyle({ ...this.#style, edge });
  }

  close(): void {
    clearTimeout(this.#resting);
  }

  at(x: number, y: number): string | null {
    return this.#composite.at(x, y);
  }

  flush(): void {
    this.#composite.flush(this.#style);
    this.#open.flush(this.plane.pixels, SET, this.#openFill, this.#openLine, this.#style);
  }

  /** In picture coordinates. */
  draw(context: CanvasRenderingContext2D, opacity: number, isOpen: boolean, openShown: boolean, preview: MaskCrop | null): void {
    context.globalAlpha = isOpen ? opacity * OTHERS : opacity;
    context.drawImage(this.#composite.layer.canvas, 0, 0);
    context.globalAlpha = opacity;
    if (isOpen && openShown) context.drawImage(this.#open.canvas, 0, 0);
    if (preview !== null && preview.width > 0 && preview.height > 0) this.#drawPreview(context, preview);
  }

  #drawPreview(context: CanvasRenderingContext2D, crop: MaskCrop): void {
    if (this.#previewed !== crop) {
      this.#previewed = crop;
      this.#preview.width = crop.width;
      this.#preview.height = crop.height;
      const image = new ImageData(crop.width, crop.height);
      const words = new Uint32Array(image.data.buffer);
      const word = packed(WHITE, PREVIEW);
      for (let i = 0; i < words.length; i++) if (crop.pixels[i] === 1) words[i] = word;
      this.#preview.getContext('2d')!.putImageData(image, 0, 0);
    }
    context.drawImage(this.#preview, crop.x, crop.y);
  }

  #restyle(style: LayerStyle): void {
    this.#style = style;
    this.#composite.layer.invalidateAll();
    this.#open.invalidateAll();
    this.redraw();
  }
}
