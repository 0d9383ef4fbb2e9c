"""The mask decoder with less work but every sum in `segment_anything`'s order, so that no bit differs.

What the first layer makes of the image alone is made once instead of once per prompt; only the prompts that are wanted
are upscaled; and what concerns image tokens is done for a few prompts at a time, so that it stays in the cache. What
concerns the few prompt tokens is done for the whole batch at once, since the last bit of a product depends on its
number of rows where that is small.
"""

import math

import torch
from segment_anything.modeling import MaskDecoder, Sam
from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock
from torch import Tensor

CACHED_BYTES = 8 << 20
"""Image tokens of the prompts that are worked on at once."""


class ReferenceOrder:
    """The decoder of one image.

    Args:
        sam: A model whose decoder is `segment_anything`'s own, of any size.
        embedding: (1, C, h, w) float32 of the image.
    """

    def __init__(self, sam: Sam, embedding: Tensor) -> None:
        self.decoder: MaskDecoder = sam.mask_decoder
        self.grid = embedding.shape[-2:]
        self.at_once = max(1, CACHED_BYTES // embedding.nbytes)
        no_mask = sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        self.image = (embedding + no_mask).flatten(2).permute(0, 2, 1)
        self.position = sam.prompt_encoder.get_dense_pe().flatten(2).permute(0, 2, 1)
        first = self.decoder.transformer.layers[0]
        located = self.image + self.position
        reading, writing = first.cross_attn_token_to_image, first.cross_attn_image_to_token
        self._keys = _heads(reading, reading.k_proj(located))
        self._values = _heads(reading, reading.v_proj(self.image))
        self._queries = _heads(writing, writing.q_proj(located))

    @property
    def logits_size(self) -> tuple[int, int]:
        """Height and width of the logits: four times the embedding's."""
        return 4 * self.grid[0], 4 * self.grid[1]

    def attend(self, sparse: Tensor) -> tuple[Tensor, Tensor]:
        """Runs the transformer: sparse prompt embeddings (B, P, C) -> tokens (B, T, C) and image tokens (B, N, C)."""
        decoder, transformer = self.decoder, self.decoder.transformer
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        prompt = torch.cat([own.expand(len(sparse), -1, -1), sparse], dim=1)
        image = sparse.new_empty(len(sparse), *self.image.shape[1:])
        first, *others = transformer.layers
        tokens = first.norm1(first.self_attn(q=prompt, k=prompt, v=prompt))
        tokens = self._read_and_update(first, tokens, prompt, None)
        self._write(first, tokens, prompt, image, shared=True)
        for layer in others:
            located = tokens + prompt
            tokens = layer.norm1(tokens + layer.self_attn(q=located, k=located, v=tokens))
            tokens = self._read_and_update(layer, tokens, prompt, image)
            self._write(layer, tokens, prompt, image, shared=False)
        read = self._read(transformer.final_attn_token_to_image, tokens + prompt, image)
        return transformer.norm_final_attn(tokens + read), image

    def score(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T, C) -> predicted IoU (B, M) of subpart, part and whole."""
        scores: Tensor = self.decoder.iou_prediction_head(tokens[:, 0, :])
        return scores[:, 1:]

    def draw(self, tokens: Tensor, image: Tensor, wanted: Tensor) -> Tensor:
        """Tokens (B, T, C), image tokens (B, N, C), prompts (K,) -> logits (K, M, 4h, 4w)."""
        decoder = self.decoder
        count = decoder.num_mask_tokens
        hypers = torch.stack([decoder.output_hypernetworks_mlps[i](tokens[:, 1 + i, :]) for i in range(count)], dim=1)
        logits = tokens.new_empty(len(wanted), count - 1, *self.logits_size)
        for part, out in zip(wanted.split(self.at_once), logits.split(self.at_once), strict=True):
            cells = image[part].transpose(1, 2).unflatten(2, tuple(self.grid))
            upscaled = decoder.output_upscaling(cells)
            drawn = hypers[part] @ upscaled.flatten(2)
            out.copy_(drawn.unflatten(2, upscaled.shape[2:])[:, 1:])
        return logits

    def _read_and_update(
        self, layer: TwoWayAttentionBlock, tokens: Tensor, prompt: Tensor, image: Tensor | None
    ) -> Tensor:
        read = self._read(layer.cross_attn_token_to_image, tokens + prompt, image)
        tokens = layer.norm2(tokens + read)
        updated: Tensor = layer.norm3(tokens + layer.mlp(tokens))
        return updated

    def _read(self, attention: Attention, located: Tensor, image: Tensor | None) -> Tensor:
        """Prompt tokens (B, T, C) attend to image tokens (B, N, C), or to those that all prompts share."""
        queries = _heads(attention, attention.q_proj(located))
        read = []
        for start in range(0, len(located), self.at_once):
            some = slice(start, start + self.at_once)
            if image is None:
                keys, values = self._keys, self._values
            else:
                keys = _heads(attention, attention.k_proj(image[some] + self.position))
                values = _heads(attention, attention.v_proj(image[some]))
            read.append(_attend(queries[some], keys, values))
        out: Tensor = attention.out_proj(torch.cat(read))
        return out

    def _write(
        self, layer: TwoWayAttentionBlock, tokens: Tensor, prompt: Tensor, image: Tensor, *, shared: bool
    ) -> None:
        """Image tokens (B, N, C), changed in place, attend to prompt tokens; `shared`: they were the same so far."""
        attention = layer.cross_attn_image_to_token
        keys = _heads(attention, attention.k_proj(tokens + prompt))
        values = _heads(attention, attention.v_proj(tokens))
        for start in range(0, len(tokens), self.at_once):
            some = slice(start, start + self.at_once)
            before = self.image if shared else image[some]
            queries = self._queries if shared else _heads(attention, attention.q_proj(before + self.position))
            written = attention.out_proj(_attend(queries, keys[some], values[some]))
            image[some] = layer.norm4(before + written)


def _heads(attention: Attention, projected: Tensor) -> Tensor:
    """(B, N, H * d) -> (B, H, N, d)."""
    return projected.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)


def _attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Heads (B or 1, H, N, d), three times -> (B, N, H * d)."""
    scores = queries @ keys.permute(0, 1, 3, 2)
    weights = torch.softmax(scores / math.sqrt(queries.shape[-1]), dim=-1)
    return (weights @ values).transpose(1, 2).flatten(2)
