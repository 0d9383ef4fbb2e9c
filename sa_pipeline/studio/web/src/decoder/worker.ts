/** The mask decoder off the page's thread: ONNX Runtime's WebAssembly, and the enlargement of what it answers. */

import * as ort from 'onnxruntime-web/wasm';
import { enlarge, type MaskCrop } from './enlargement';
import { fromFloat16 } from './float16';
import { chooseOutput } from './prompts';
import { logitsOf, type DecodeMessage, type Decoding, type FetchMessage, type OpenMessage, type PictureMessage, type Question, type Reply } from './protocol';

const port = self as unknown as {
  onmessage: ((event: MessageEvent<Question>) => void) | null;
  postMessage(reply: Reply, transfer?: Transferable[]): void;
};

let decoderBytes: Uint8Array | null = null;
let session: ort.InferenceSession | null = null;
let picture: (PictureMessage & { tensor: ort.Tensor }) | null = null;
let last: Promise<void> = Promise.resolve();

port.onmessage = ({ data }) => {
  last = last.then(() => answer(data)).catch((error: unknown) => {
    port.postMessage({ kind: 'failed', sequence: data.sequence, detail: error instanceof Error ? error.message : String(error) });
  });
};

async function answer(question: Question): Promise<void> {
  const { sequence } = question;
  if (question.kind === 'fetch') {
    await download(question);
    port.postMessage({ kind: 'ready', sequence });
  } else if (question.kind === 'open') {
    await open(question);
    port.postMessage({ kind: 'ready', sequence });
  } else if (question.kind === 'picture') {
    const tensor = new ort.Tensor('float32', fromFloat16(question.embedding), [1, ...question.shape]);
    picture = { ...question, tensor };
    port.postMessage({ kind: 'ready', sequence });
  } else if (question.kind === 'decode') {
    const decoding = await decode(question);
    port.postMessage({ kind: 'decoded', sequence, decoding }, [decoding.logits.buffer as ArrayBuffer, decoding.crop.pixels.buffer]);
  } else {
    const crop = enlargeFor(question.logits);
    port.postMessage({ kind: 'enlarged', sequence, crop }, [crop.pixels.buffer]);
  }
}

async function download({ decoderUrl, runtimeUrl }: FetchMessage): Promise<void> {
  const [decoder, runtime] = await Promise.all([bytesOf(decoderUrl), bytesOf(`${runtimeUrl}ort-wasm-simd-threaded.wasm`)]);
  ort.env.wasm.wasmPaths = runtimeUrl;
  ort.env.wasm.wasmBinary = runtime;
  decoderBytes = new Uint8Array(decoder);
}

async function bytesOf(url: string): Promise<ArrayBuffer> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: the server said ${answer.status}`);
  return answer.arrayBuffer();
}

async function open({ threads }: OpenMessage): Promise<void> {
  if (decoderBytes === null) throw new Error('asked to open before the decoder was there');
  ort.env.wasm.numThreads = threads;
  session = await ort.InferenceSession.create(decoderBytes, { executionProviders: ['wasm'] });
  decoderBytes = null;
}

async function decode({ coords, labels, maskInput, output }: DecodeMessage): Promise<Decoding> {
  if (session === null || picture === null) throw new Error('asked before the decoder and the embedding were there');
  const side = picture.frame.lowResSide;
  const started = performance.now();
  const outputs = await session.run({
    image_embeddings: picture.tensor,
    point_coords: new ort.Tensor('float32', Float32Array.from(coords.flat()), [1, coords.length, 2]),
    point_labels: new ort.Tensor('float32', Float32Array.from(labels), [1, labels.length]),
    mask_input: new ort.Tensor('float32', maskInput ?? new Float32Array(side * side), [1, 1, side, side]),
    has_mask_input: new ort.Tensor('float32', Float32Array.of(maskInput === null ? 0 : 1), [1]),
  });
  const logits = (outputs['low_res_masks']!.data as Float32Array).slice();
  const predictedIou = Array.from(outputs['iou_predictions']!.data as Float32Array);
  const decoded = performance.now();
  const chosen = output ?? chooseOutput(true, predictedIou);
  const crop = enlargeFor(logitsOf({ logits }, chosen));
  const enlargeMs = performance.now() - decoded;
  return { logits, predictedIou, output: chosen, crop, decodeMs: decoded - started, enlargeMs };
}

function enlargeFor(logits: Float32Array): MaskCrop {
  if (picture === null) throw new Error('asked before the picture was there');
  return enlarge(logits, picture.frame, picture.threshold);
}
