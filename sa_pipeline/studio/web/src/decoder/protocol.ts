/** What the page and the decoder's worker say to each other. */

import type { Decode } from '../api/types';
import type { MaskCrop } from './enlargement';
import type { Frame } from './frame';
import type { Output } from './prompts';

/** Downloads, which may take long on a slow line, apart from `open`, which may not. */
export interface FetchMessage {
  readonly kind: 'fetch';
  readonly decoderUrl: string;
  /** Folder with ONNX Runtime's WebAssembly, ending with a slash. */
  readonly runtimeUrl: string;
}

export interface OpenMessage {
  readonly kind: 'open';
  readonly threads: number;
}

export interface PictureMessage {
  readonly kind: 'picture';
  /** float16 bits. */
  readonly embedding: Uint16Array;
  readonly shape: readonly [number, number, number];
  readonly frame: Frame;
  readonly threshold: number;
}

export interface DecodeMessage {
  readonly kind: 'decode';
  readonly coords: Decode['point_coords'];
  readonly labels: Decode['point_labels'];
  /** lowResSide squared logits. */
  readonly maskInput: Float32Array | null;
  /** Which of the four masks is enlarged; null: the best of 1, 2 and 3 by predicted IoU. */
  readonly output: Output | null;
}

export interface EnlargeMessage {
  readonly kind: 'enlarge';
  readonly logits: Float32Array;
}

export type Question = (FetchMessage | OpenMessage | PictureMessage | DecodeMessage | EnlargeMessage) & { readonly sequence: number };

/** The decoder's answer to one set of prompts. */
export interface Decoding {
  /** Four times lowResSide squared logits. */
  readonly logits: Float32Array;
  readonly predictedIou: readonly number[];
  readonly output: Output;
  readonly crop: MaskCrop;
  readonly decodeMs: number;
  readonly enlargeMs: number;
}

export type Reply =
  | { readonly kind: 'ready'; readonly sequence: number }
  | { readonly kind: 'decoded'; readonly sequence: number; readonly decoding: Decoding }
  | { readonly kind: 'enlarged'; readonly sequence: number; readonly crop: MaskCrop }
  | { readonly kind: 'failed'; readonly sequence: number; readonly detail: string };

/** One of the four masks' logits; shares memory. */
export function logitsOf(decoding: Pick<Decoding, 'logits'>, output: Output): Float32Array {
  const cells = decoding.logits.length / 4;
  return decoding.logits.subarray(output * cells, (output + 1) * cells);
}
