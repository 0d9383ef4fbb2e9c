import type { ImageInfo } from '../api/types';

/** The image's pixels. */
export async function loadPicture(image: ImageInfo): Promise<ImageBitmap> {
  const answer = await fetch(image.picture_url);
  if (!answer.ok) throw new Error(`the picture ${image.file_name} did not come: the server said ${answer.status}`);
  return createImageBitmap(await answer.blob());
}

/** The image's embedding: float16 bits, shape (C, h, w) of its model's ModelInfo. */
export async function loadEmbedding(image: ImageInfo): Promise<Uint16Array> {
  if (image.embedding_url === null) throw new Error(`${image.file_name} has no embedding`);
  const answer = await fetch(image.embedding_url);
  if (!answer.ok) throw new Error(`the embedding of ${image.file_name} did not come: the server said ${answer.status}`);
  return new Uint16Array(await answer.arrayBuffer());
}
