import type { ImageInfo } from '../api/types';

/** Pictures and embeddings kept ready; a picture of 2250x1500 px is about 1 MB, an embedding 2 MB. */
const KEPT = 8;

const waiting = new Map<string, Promise<ArrayBuffer>>();

/** The image's pixels. */
export async function loadPicture(image: ImageInfo): Promise<ImageBitmap> {
  return createImageBitmap(new Blob([await bytes(image.picture_url, 'high')]));
}

/** The image's embedding: float16 bits, shape (C, h, w) of its model's ModelInfo. */
export async function loadEmbedding(image: ImageInfo): Promise<Uint16Array> {
  if (image.embedding_url === null) throw new Error(`${image.file_name} has no embedding.`);
  // a copy, since the decoder's worker takes it away
  return new Uint16Array((await bytes(image.embedding_url, 'high')).slice(0));
}

/** Fetches what the next pictures need, so that they open at once. */
export function prefetch(images: readonly ImageInfo[]): void {
  for (const image of images) {
    for (const url of [image.picture_url, image.embedding_url]) {
      // what fails now is asked for again when it is needed, and told then
      if (url !== null) bytes(url, 'low').catch(() => undefined);
    }
  }
}

function bytes(url: string, priority: RequestPriority): Promise<ArrayBuffer> {
  const found = waiting.get(url) ?? download(url, priority);
  waiting.delete(url);
  waiting.set(url, found);
  found.catch(() => {
    if (waiting.get(url) === found) waiting.delete(url);
  });
  for (const oldest of waiting.keys()) {
    if (waiting.size <= KEPT) break;
    waiting.delete(oldest);
  }
  return found;
}

async function download(url: string, priority: RequestPriority): Promise<ArrayBuffer> {
  let answer: Response;
  try {
    answer = await fetch(url, { credentials: 'same-origin', priority });
  } catch {
    throw new Error('The server cannot be reached.');
  }
  if (!answer.ok) throw new Error(`The server did not send ${url} (it answered ${answer.status}).`);
  return answer.arrayBuffer();
}
