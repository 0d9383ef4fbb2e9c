/**
 * SAM's padded frame: the image is brought to `imageSize` on its longer side and lies in the upper left corner of a
 * square of that size; the decoder's logits cover the square with `lowResSide` cells a side.
 */

export interface Frame {
  /** Of the image, px. */
  readonly width: number;
  readonly height: number;
  readonly imageSize: number;
  readonly lowResSide: number;
}

/** Decoder input px per image px. */
export function scaleOf(frame: Frame): number {
  return frame.imageSize / Math.max(frame.width, frame.height);
}

/** The part of the square that the image covers, px of the decoder's input, rounded as `ResizeLongestSide` does. */
export function coveredPart(frame: Frame): { width: number; height: number } {
  const scale = scaleOf(frame);
  return { width: Math.floor(frame.width * scale + 0.5), height: Math.floor(frame.height * scale + 0.5) };
}
