/**
 * SAM's answers for one picture, from wherever they are to be had: a worker with threads, a worker with one, the
 * studio's server, or nowhere. A place that fails is left for the next one, and what was asked is asked there again.
 */

import { writable, type Readable } from 'svelte/store';
import type { Decode, Decoded, ImageInfo, ModelInfo } from '../api/types';
import { ServerBackend, WorkerBackend, type Backend } from './backends';
import type { MaskCrop } from './enlargement';
import type { Frame } from './frame';
import type { DecodeMessage, Decoding, PictureMessage } from './protocol';

export type DecoderMode = 'starting' | 'threads' | 'single' | 'server' | 'none';

const MAX_THREADS = 4;

/** What the service needs from outside. */
export interface DecoderSources {
  model(digest: string): Promise<ModelInfo>;
  embedding(image: ImageInfo): Promise<Uint16Array>;
  decodeOnServer(image: ImageInfo, body: Decode): Promise<Decoded>;
}

interface Job {
  readonly question: DecodeMessage;
  readonly resolve: (decoding: Decoding | null) => void;
  readonly reject: (error: Error) => void;
}

export class DecoderService {
  readonly mode: Readable<DecoderMode>;
  /** Of the picture; null until the model is known, and where there is none. */
  frame: Frame | null = null;
  readonly #mode = writable<DecoderMode>('starting');
  readonly #clicks: Job[] = [];
  #hover: Job | null = null;
  #backend: Promise<Backend | null>;
  #modes: DecoderMode[] = crossOriginIsolated && navigator.hardwareConcurrency > 1 ? ['threads', 'single', 'server'] : ['single', 'server'];
  #running = false;
  #closed = false;

  constructor(
    private readonly image: ImageInfo,
    private readonly sources: DecoderSources,
  ) {
    this.mode = { subscribe: this.#mode.subscribe };
    this.#backend = image.checkpoint_digest === null ? this.#giveUp() : this.#open();
  }

  /** Answers in the order asked. Rejects where SAM's help is not to be had. */
  decode(question: DecodeMessage): Promise<Decoding> {
    return new Promise((resolve, reject) => {
      // Only a hover may be answered with null.
      this.#clicks.push({ question, resolve: (decoding) => resolve(decoding!), reject });
      void this.#work();
    });
  }

  /** For a preview: null if something newer or more important was asked meanwhile. */
  preview(question: DecodeMessage): Promise<Decoding | null> {
    return new Promise((resolve, reject) => {
      this.#hover?.resolve(null);
      this.#hover = { question, resolve, reject };
      void this.#work();
    });
  }

  dropPreview(): void {
    this.#hover?.resolve(null);
    this.#hover = null;
  }

  async enlarge(logits: Float32Array): Promise<MaskCrop> {
    return this.#withBackend((backend) => backend.enlarge(logits));
  }

  close(): void {
    this.#closed = true;
    this.dropPreview();
    void this.#backend.then((backend) => backend?.close());
  }

  async #work(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    for (let job = this.#next(); job !== null; job = this.#next()) {
      try {
        const { question } = job;
        job.resolve(await this.#withBackend((backend) => backend.decode(question)));
      } catch (error) {
        job.reject(error instanceof Error ? error : new Error(String(error)));
      }
    }
    this.#running = false;
  }

  #next(): Job | null {
    const click = this.#clicks.shift();
    if (click !== undefined) return click;
    const hover = this.#hover;
    this.#hover = null;
    return hover;
  }

  async #withBackend<T>(use: (backend: Backend) => Promise<T>): Promise<T> {
    for (;;) {
      const current = this.#backend;
      const backend = await current;
      if (backend === null || this.#closed) throw new Error('SAM cannot help on this picture; brush and polygon work');
      try {
        return await use(backend);
      } catch (error) {
        // The server is the last place: a line that is down now may be up for the next click.
        if (this.#closed || this.#modes[0] === 'server') throw error;
        console.warn(`decoding failed, trying the next place: ${String(error)}`);
        if (this.#backend === current) {
          backend.close();
          this.#modes.shift();
          this.#backend = this.#open();
        }
      }
    }
  }

  async #open(): Promise<Backend | null> {
    this.#mode.set('starting');
    const digest = this.image.checkpoint_digest;
    const opening = this.#closed || digest === null ? null : await this.#facts(digest);
    if (opening === null) return this.#giveUp();
    for (; this.#modes.length > 0 && !this.#closed; this.#modes.shift()) {
      const mode = this.#modes[0]!;
      try {
        const backend = await this.#openAt(mode, opening.model, opening.picture);
        this.#mode.set(mode);
        return backend;
      } catch (error) {
        console.warn(`no decoder by ${mode}: ${String(error)}`);
      }
    }
    return this.#giveUp();
  }

  async #facts(digest: string): Promise<{ model: ModelInfo; picture: PictureMessage } | null> {
    try {
      const [model, embedding] = await Promise.all([this.sources.model(digest), this.sources.embedding(this.image)]);
      const { width, height } = this.image;
      this.frame = { width, height, imageSize: model.image_size, lowResSide: model.low_res_side };
      const { embedding_shape: shape, mask_threshold: threshold } = model;
      return { model, picture: { kind: 'picture', embedding, shape, frame: this.frame, threshold } };
    } catch (error) {
      console.warn(`no decoder for this picture: ${String(error)}`);
      return null;
    }
  }

  #openAt(mode: DecoderMode, model: ModelInfo, picture: PictureMessage): Promise<Backend> {
    if (mode !== 'server') {
      const threads = mode === 'threads' ? Math.min(MAX_THREADS, navigator.hardwareConcurrency) : 1;
      return WorkerBackend.open(model, picture, threads);
    }
    const ask = (body: Decode): Promise<Decoded> => this.sources.decodeOnServer(this.image, body);
    return Promise.resolve(new ServerBackend(ask, model.checkpoint_digest, picture.frame, picture.threshold));
  }

  #giveUp(): Promise<null> {
    this.#mode.set('none');
    return Promise.resolve(null);
  }
}
