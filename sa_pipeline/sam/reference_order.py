"""The mask decoder with less work but every sum in `segment_anything`'s order, so that no bit differs.

What the first layer makes of the image alone is made once instead of once per prompt, and only the prompts that are
wanted are upscaled.
"""

import math

import torch
from segment_anything.modeling import MaskDecoder, Sam
from segment_anything.modeling.transformer import Attention
from torch import Tensor


class ReferenceOrder:
    """The decoder of one image.

    Args:
        sam: A model whose decoder is `segment_anything`'s own, of any size.
        embedding: (1, C, h, w) float32 of the image.
    """

    def __init__(self, sam: Sam, embedding: Tensor) -> None:
        self.decoder: MaskDecoder = sam.mask_decoder
        self.grid = embedding.shape[-2:]
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
        tokens, image = self._first_layer(prompt)
        for layer in transformer.layers[1:]:
            tokens, image = layer(queries=tokens, keys=image, query_pe=prompt, key_pe=self.position)
        read = transformer.final_attn_token_to_image(q=tokens + prompt, k=image + self.position, v=image)
        return transformer.norm_final_attn(tokens + read), image

    def score(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T, C) -> predicted IoU (B, M) of subpart, part and whole."""
        scores: Tensor = self.decoder.iou_prediction_head(tokens[:, 0, :])
        return scores[:, 1:]

    def draw(self, tokens: Tensor, image: Tensor, wanted: Tensor) -> Tensor:
        """Tokens (B, T, C), image tokens (B, N, C), prompts (K,) -> logits (K, M, 4h, 4w)."""
        decoder = self.decoder
        count = decoder.num_mask_tokens
        # The small networks run on all prompts, since the last bit of a product depends on its number of rows.
        hypers = [decoder.output_hypernetworks_mlps[i](tokens[:, 1 + i, :]) for i in range(count)]
        cells = image[wanted].transpose(1, 2).unflatten(2, tuple(self.grid))
        upscaled = decoder.output_upscaling(cells)
        logits = torch.stack(hypers, dim=1)[wanted] @ upscaled.flatten(2)
        return logits.unflatten(2, upscaled.shape[2:])[:, 1:]

    def _first_layer(self, prompt: Tensor) -> tuple[Tensor, Tensor]:
        layer = self.decoder.transformer.layers[0]
        tokens = layer.norm1(layer.self_attn(q=prompt, k=prompt, v=prompt))
        reading, writing = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        queries = _heads(reading, reading.q_proj(tokens + prompt))
        tokens = layer.norm2(tokens + _attend(reading, queries, self._keys, self._values))
        tokens = layer.norm3(tokens + layer.mlp(tokens))
        keys = _heads(writing, writing.k_proj(tokens + prompt))
        values = _heads(writing, writing.v_proj(tokens))
        image: Tensor = layer.norm4(self.image + _attend(writing, self._queries, keys, values))
        return tokens, image


def _heads(attention: Attention, projected: Tensor) -> Tensor:
    """(B, N, H * d) -> (B, H, N, d)."""
    return projected.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)


def _attend(attention: Attention, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Heads (B or 1, H, N, d), three times -> (B, N, C)."""
    scores = queries @ keys.permute(0, 1, 3, 2)
    weights = torch.softmax(scores / math.sqrt(queries.shape[-1]), dim=-1)
    out: Tensor = attention.out_proj((weights @ values).transpose(1, 2).flatten(2))
    return out
