/** The two places where masks are decoded: a worker in this browser, and the studio's server. */

import type { Decode, Decoded, ModelInfo } from '../api/types';
import { enlarge, type MaskCrop } from './enlargement';
import type { Frame } from './frame';
import { chooseOutput } from './prompts';
import { logitsOf, type DecodeMessage, type Decoding, type PictureMessage, type Question, type Reply } from './protocol';

const FETCH_LIMIT_MS = 120_000;
const OPEN_LIMIT_MS = 10_000;
const DECODE_LIMIT_MS = 3_000;

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

export interface Backend {
  decode(question: DecodeMessage): Promise<Decoding>;
  enlarge(logits: Float32Array): Promise<MaskCrop>;
  close(): void;
}

/** Of the picture before, its decoder loaded and warm. */
let spare: WorkerBackend | null = null;

/** Any failure, a missed time limit too, ends the worker: what hangs once is not asked again. */
export class WorkerBackend implements Backend {
  readonly #worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  readonly #waiting = new Map<number, { resolve: (reply: Reply) => void; reject: (error: Error) => void }>();
  #sequence = 0;
  #failed = false;

  private constructor(
    private readonly digest: string,
    private readonly threads: number,
  ) {
    this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      const asker = this.#waiting.get(data.sequence);
      this.#waiting.delete(data.sequence);
      if (data.kind === 'failed') asker?.reject(new Error(data.detail));
      else asker?.resolve(data);
    };
    this.#worker.onerror = (event) => this.#fail(new Error(event.message || 'the decoder did not start'));
  }

  static async open(model: ModelInfo, picture: PictureMessage, threads: number): Promise<WorkerBackend> {
    const parked = spare;
    spare = null;
    if (parked?.digest === model.checkpoint_digest && parked.threads === threads) {
      await parked.#ask(picture, DECODE_LIMIT_MS);
      return parked;
    }
    if (parked !== null) parked.#fail(new Error('another model is needed'));
    const backend = new WorkerBackend(model.checkpoint_digest, threads);
    const base = document.baseURI;
    const decoderUrl = new URL(model.decoder_url, base).href;
    const runtimeUrl = new URL('ort/', base).href;
    try {
      await backend.#ask({ kind: 'fetch', decoderUrl, runtimeUrl }, FETCH_LIMIT_MS);
      await backend.#ask({ kind: 'open', threads }, OPEN_LIMIT_MS);
      await backend.#ask(picture, DECODE_LIMIT_MS);
    } catch (error) {
      backend.#fail(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
    return backend;
  }

  async decode(question: DecodeMessage): Promise<Decoding> {
    const reply = await this.#ask(question, DECODE_LIMIT_MS);
    if (reply.kind !== 'decoded') throw new Error(`the decoder answered ${reply.kind} to a prompt`);
    return reply.decoding;
  }

  async enlarge(logits: Float32Array): Promise<MaskCrop> {
    const reply = await this.#ask({ kind: 'enlarge', logits }, DECODE_LIMIT_MS);
    if (reply.kind !== 'enlarged') throw new Error(`the decoder answered ${reply.kind} to an enlargement`);
    return reply.crop;
  }

  /** Keeps the worker for the next picture. */
  close(): void {
    if (this.#failed || this.#waiting.size > 0 || spare !== null) this.#fail(new Error('the decoder was closed'));
    else spare = this;
  }

  #ask(question: DistributiveOmit<Question, 'sequence'>, limitMs: number): Promise<Reply> {
    const sequence = ++this.#sequence;
    return new Promise<Reply>((resolve, reject) => {
      const watchdog = setTimeout(
        () => this.#fail(new Error(`the decoder did not answer within ${limitMs / 1000} s`)),
        limitMs,
      );
      this.#waiting.set(sequence, {
        resolve: (reply) => {
          clearTimeout(watchdog);
          resolve(reply);
        },
        reject: (error) => {
          clearTimeout(watchdog);
          reject(error);
        },
      });
      this.#worker.postMessage({ ...question, sequence });
    });
  }

  #fail(error: Error): void {
    this.#failed = true;
    this.#worker.terminate();
    for (const asker of this.#waiting.values()) asker.reject(error);
    this.#waiting.clear();
  }
}

/** Asks the studio's server to decode; the enlargement is done here. */
export class ServerBackend implements Backend {
  constructor(
    private readonly ask: (body: Decode) => Promise<Decoded>,
    private readonly digest: string,
    private readonly frame: Frame,
    private readonly threshold: number,
  ) {}

  async decode({ coords, labels, maskInput, output }: DecodeMessage): Promise<Decoding> {
    const started = performance.now();
    const decoded = await this.ask({
      checkpoint_digest: this.digest,
      point_coords: coords,
      point_labels: labels,
      mask_input: maskInput === null ? null : toBase64(maskInput),
    });
    const logits = fromBase64(decoded.low_res_masks);
    const arrived = performance.now();
    const chosen = output ?? chooseOutput(true, decoded.iou_predictions);
    const crop = enlarge(logitsOf({ logits }, chosen), this.frame, this.threshold);
    const enlargeMs = performance.now() - arrived;
    return { logits, predictedIou: decoded.iou_predictions, output: chosen, crop, decodeMs: arrived - started, enlargeMs };
  }

  enlarge(logits: Float32Array): Promise<MaskCrop> {
    return Promise.resolve(enlarge(logits, this.frame, this.threshold));
  }

  close(): void {}
}

function toBase64(values: Float32Array): string {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  let text = '';
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

function fromBase64(text: string): Float32Array {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}
