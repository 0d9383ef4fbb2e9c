/**
 * Where the picture lies on the screen.
 *
 * Three kinds of coordinates: *screen* px of the canvas element; *picture* coordinates, continuous, pixel i covering
 * [i, i + 1); and *pixel* coordinates as they are stored and as SAM takes them, pixel i's centre at i.
 */

export interface View {
  /** Screen px per picture px. */
  readonly scale: number;
  /** Screen position of the picture's upper left corner. */
  readonly x: number;
  readonly y: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export type Point = readonly [number, number];

export const MIN_SCALE = 0.05;
export const MAX_SCALE = 40;
const FIT_MARGIN = 12;

export function fit(picture: Size, screen: Size): View {
  const room = (length: number): number => Math.max(1, length - 2 * FIT_MARGIN);
  const scale = clampScale(Math.min(room(screen.width) / picture.width, room(screen.height) / picture.height));
  return centred(picture, screen, scale);
}

export function centred(picture: Size, screen: Size, scale: number): View {
  return { scale, x: (screen.width - picture.width * scale) / 2, y: (screen.height - picture.height * scale) / 2 };
}

/** Zoom by a factor; the picture's point under `at` (screen px) stays where it is. */
export function zoomAt(view: View, at: Point, factor: number): View {
  const scale = clampScale(view.scale * factor);
  const ratio = scale / view.scale;
  return { scale, x: at[0] - (at[0] - view.x) * ratio, y: at[1] - (at[1] - view.y) * ratio };
}

export function panBy(view: View, dx: number, dy: number): View {
  return { scale: view.scale, x: view.x + dx, y: view.y + dy };
}

/** Keep a part of the picture on the screen, so that it cannot get lost. */
export function keepInSight(view: View, picture: Size, screen: Size): View {
  const hold = (position: number, length: number, room: number): number => {
    const rest = Math.min(64, length / 2, room / 2);
    return Math.min(room - rest, Math.max(rest - length, position));
  };
  return {
    scale: view.scale,
    x: hold(view.x, picture.width * view.scale, screen.width),
    y: hold(view.y, picture.height * view.scale, screen.height),
  };
}

/** Bring a rectangle of the picture into the middle, as large as leaves some surroundings, at most at `most`. */
export function zoomTo(rect: { x: number; y: number; width: number; height: number }, screen: Size, most = 4): View {
  const scale = clampScale(
    Math.min(most, (0.6 * screen.width) / Math.max(1, rect.width), (0.6 * screen.height) / Math.max(1, rect.height)),
  );
  return {
    scale,
    x: screen.width / 2 - (rect.x + rect.width / 2) * scale,
    y: screen.height / 2 - (rect.y + rect.height / 2) * scale,
  };
}

export function toPicture(view: View, at: Point): [number, number] {
  return [(at[0] - view.x) / view.scale, (at[1] - view.y) / view.scale];
}

export function toScreen(view: View, at: Point): [number, number] {
  return [at[0] * view.scale + view.x, at[1] * view.scale + view.y];
}

/** Pixel coordinates of a picture position, to a hundredth. */
export function toPixel(at: Point): [number, number] {
  return [Math.round((at[0] - 0.5) * 100) / 100, Math.round((at[1] - 0.5) * 100) / 100];
}

export function fromPixel(at: Point): [number, number] {
  return [at[0] + 0.5, at[1] + 0.5];
}

function clampScale(scale: number): number {
  return Math.min(MAX_SCALE, Math.max(MIN_SCALE, scale));
}
