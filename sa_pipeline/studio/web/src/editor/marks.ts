/** What is drawn over the masks, in screen px: clicks, boxes, polygons, the brush, pins. */

import { fromPixel, toScreen, type Point, type View } from './view';

type Context = CanvasRenderingContext2D;

const FOREGROUND = '#2fd06f';
const BACKGROUND = '#ff4d4d';
export const POINT_RADIUS = 6;

export function drawClick(context: Context, view: View, pixel: Point, label: 0 | 1, emphasis: 'plain' | 'hovered' | 'pending'): void {
  const [x, y] = toScreen(view, fromPixel(pixel));
  context.globalAlpha = emphasis === 'pending' ? 0.6 : 1;
  context.beginPath();
  context.arc(x, y, emphasis === 'hovered' ? POINT_RADIUS + 2 : POINT_RADIUS, 0, 2 * Math.PI);
  context.fillStyle = label === 1 ? FOREGROUND : BACKGROUND;
  context.fill();
  context.lineWidth = 1.5;
  context.strokeStyle = '#fff';
  context.stroke();
  context.beginPath();
  context.moveTo(x - 3, y);
  context.lineTo(x + 3, y);
  if (label === 1) {
    context.moveTo(x, y - 3);
    context.lineTo(x, y + 3);
  }
  context.stroke();
  context.globalAlpha = 1;
}

/** XYXY, picture coordinates. */
export function drawBox(context: Context, view: View, box: readonly [number, number, number, number]): void {
  const [x0, y0] = toScreen(view, [box[0], box[1]]);
  const [x1, y1] = toScreen(view, [box[2], box[3]]);
  twice(context, () => context.rect(x0, y0, x1 - x0, y1 - y0), [6, 4]);
}

/** The vertices so far and the pointer, picture coordinates. */
export function drawPolygon(context: Context, view: View, vertices: readonly Point[], pointer: Point | null): void {
  const points = [...vertices, ...(pointer === null ? [] : [pointer])].map((vertex) => toScreen(view, vertex));
  twice(context, () => {
    points.forEach(([x, y], k) => (k === 0 ? context.moveTo(x, y) : context.lineTo(x, y)));
    if (points.length > 2) context.closePath();
  });
  for (const vertex of vertices) {
    const [x, y] = toScreen(view, vertex);
    context.beginPath();
    context.arc(x, y, 3.5, 0, 2 * Math.PI);
    context.fillStyle = '#fff';
    context.fill();
    context.strokeStyle = '#000';
    context.stroke();
  }
}

/** centre in picture coordinates, size in picture px. */
export function drawBrush(context: Context, view: View, centre: Point, size: number, shape: 'round' | 'square'): void {
  const [x, y] = toScreen(view, centre);
  const radius = (size / 2) * view.scale;
  twice(context, () => {
    if (shape === 'round') context.arc(x, y, Math.max(1.5, radius), 0, 2 * Math.PI);
    else context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
  });
  if (radius < 5) {
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) {
      context.moveTo(x + dx * (radius + 3), y + dy * (radius + 3));
      context.lineTo(x + dx * (radius + 8), y + dy * (radius + 8));
    }
    context.strokeStyle = '#fff';
    context.stroke();
  }
}

export function drawPin(context: Context, view: View, pixel: Point, text: string, kind: 'open' | 'resolved' | 'draft' | 'case'): void {
  const [x, y] = toScreen(view, fromPixel(pixel));
  context.globalAlpha = kind === 'resolved' ? 0.55 : 1;
  context.beginPath();
  context.moveTo(x, y);
  context.bezierCurveTo(x - 4, y - 8, x - 11, y - 12, x - 11, y - 20);
  context.arc(x, y - 20, 11, Math.PI, 0);
  context.bezierCurveTo(x + 11, y - 12, x + 4, y - 8, x, y);
  context.fillStyle = { open: '#d9822b', resolved: '#5f6b7a', draft: '#1d5fd6', case: '#7a4bd0' }[kind];
  context.fill();
  context.lineWidth = 1.5;
  context.strokeStyle = '#fff';
  context.stroke();
  context.fillStyle = '#fff';
  context.font = '600 11px system-ui, sans-serif';
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillText(text, x, y - 19.5);
  context.globalAlpha = 1;
}

/** Dark under light, to be seen on every picture. */
function twice(context: Context, path: () => void, dash: number[] = []): void {
  for (const [colour, width] of [['rgb(0 0 0 / 75%)', 3], ['#fff', 1.25]] as const) {
    context.beginPath();
    path();
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.setLineDash(width === 3 ? [] : dash);
    context.stroke();
  }
  context.setLineDash([]);
}
