"""The mask decoder's two-way transformer and upscaling with the work that prompts share done once per image.

All prompts of an image attend to the same image tokens, so that the first layer's projections of the image are made
once; the later layers' are never made at all: with a handful of prompt tokens it is cheaper to carry the tokens through
the projection's weights and to meet the image tokens there. (W_k x) · q is x · (W_kᵀ q), and so on. Sums are in another
order than in `segment_anything`, nothing else changes. Image tokens stay in one layout, (B, N, C), to the last step.
"""

import copy
import math

import torch
from segment_anything.modeling import MaskDecoder, Sam, TwoWayTransformer
from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock
from torch import Tensor
from torch.nn import functional


class SharedWork:
    """The decoder of one image.

    Args:
        sam: A model whose decoder is `segment_anything`'s own, of any size.
        embedding: (1, C, h, w) of the image.
        dtype: Arithmetic of everything after the prompt encoder.
    """

    def __init__(self, sam: Sam, embedding: Tensor, dtype: torch.dtype) -> None:
        decoder = sam.mask_decoder
        self.decoder: MaskDecoder = decoder if dtype == torch.float32 else copy.deepcopy(decoder).to(dtype)
        self.grid = embedding.shape[-2:]
        no_mask = sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        self.image = _to_tokens(embedding + no_mask).to(dtype)
        self.position = _to_tokens(sam.prompt_encoder.get_dense_pe()).to(dtype)
        transformer: TwoWayTransformer = self.decoder.transformer
        first, *others = transformer.layers
        located = self.image + self.position
        self._first_reading = _SharedReading(first.cross_attn_token_to_image, located, self.image)
        self._first_writing = _Writing(first.cross_attn_image_to_token, located)
        self._readings = [_FoldedReading(layer.cross_attn_token_to_image, self.position) for layer in others]
        self._writings = [_Writing(layer.cross_attn_image_to_token, self.position) for layer in others]
        self._last_reading = _FoldedReading(transformer.final_attn_token_to_image, self.position)

    @property
    def logits_size(self) -> tuple[int, int]:
        """Height and width of the logits: four times the embedding's."""
        return 4 * self.grid[0], 4 * self.grid[1]

    def attend(self, sparse: Tensor) -> tuple[Tensor, Tensor]:
        """Runs the transformer: sparse prompt embeddings (B, P, C) -> tokens (B, T, C) and image tokens (B, N, C)."""
        decoder, transformer = self.decoder, self.decoder.transformer
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        prompt = torch.cat([own.expand(len(sparse), -1, -1), sparse.to(own.dtype)], dim=1)
        first, *others = transformer.layers
        tokens = first.norm1(first.self_attn(q=prompt, k=prompt, v=prompt))
        tokens = _update_tokens(first, tokens, self._first_reading(tokens + prompt))
        image = self._first_writing(tokens + prompt, tokens, self.image.expand(len(sparse), -1, -1), only_position=True)
        image = _normalise(first.norm4, image)
        for layer, read, write in zip(others, self._readings, self._writings, strict=True):
            located = tokens + prompt
            tokens = layer.norm1(tokens + layer.self_attn(q=located, k=located, v=tokens))
            tokens = _update_tokens(layer, tokens, read(tokens + prompt, image))
            image = _normalise(layer.norm4, write(tokens + prompt, tokens, image))
        tokens = transformer.norm_final_attn(tokens + self._last_reading(tokens + prompt, image))
        return tokens, image

    def score(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T, C) -> predicted IoU (B, M) float32 of subpart, part and whole."""
        scores: Tensor = self.decoder.iou_prediction_head(tokens[:, 0])
        return scores[:, 1:].float()

    def draw(self, tokens: Tensor, image: Tensor, wanted: Tensor) -> Tensor:
        """Tokens (B, T, C), image tokens (B, N, C), prompts (K,) -> logits (K, M, 4h, 4w) float32."""
        tokens, image = tokens[wanted], image[wanted]
        decoder = self.decoder
        count = decoder.num_mask_tokens
        hypers = [decoder.output_hypernetworks_mlps[i](tokens[:, 1 + i]) for i in range(1, count)]
        first, norm, activation, second, last_activation = decoder.output_upscaling
        # A transposed convolution whose stride is its size is a linear map of each cell to 2 x 2 cells.
        upscaled = _enlarge_cells(first, image.flatten(0, 1))
        upscaled = activation(functional.layer_norm(upscaled, upscaled.shape[-1:], norm.weight, norm.bias, norm.eps))
        upscaled = last_activation(_enlarge_cells(second, upscaled))
        logits = torch.bmm(upscaled.view(len(tokens), -1, upscaled.shape[-1]), torch.stack(hypers, dim=2)).float()
        height, width = self.grid
        cells = logits.view(len(tokens), height, width, 2, 2, 2, 2, count - 1)
        return cells.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(len(tokens), count - 1, 4 * height, 4 * width)


def is_standard(sam: Sam) -> bool:
    """Whether prompt encoder and mask decoder are `segment_anything`'s own, so that their parts can be called."""
    decoder = sam.mask_decoder
    return type(decoder) is MaskDecoder and type(decoder.transformer) is TwoWayTransformer


class _SharedReading:
    """Prompt tokens attend to image tokens that are the same for all prompts."""

    def __init__(self, attention: Attention, located: Tensor, image: Tensor) -> None:
        heads = attention.num_heads
        self.attention = attention
        self.keys = attention.k_proj(located).unflatten(1, (heads, -1)).permute(1, 2, 0).contiguous()  # (H, d, N)
        self.values = attention.v_proj(image).unflatten(1, (heads, -1)).transpose(0, 1).contiguous()  # (H, N, d)

    def __call__(self, queries: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        heads = _heads(self.attention, self.attention.q_proj(queries)).transpose(0, 1)
        weights = torch.softmax(torch.bmm(heads.flatten(1, 2), self.keys), dim=-1)
        read = torch.bmm(weights, self.values).unflatten(1, heads.shape[1:3])
        out: Tensor = self.attention.out_proj(read.permute(1, 2, 0, 3).flatten(2))
        return out


class _FoldedReading:
    """Prompt tokens attend to image tokens of their own prompt."""

    def __init__(self, attention: Attention, position: Tensor) -> None:
        heads = attention.num_heads
        self.attention = attention
        # Where the cells are, as keys; the projection's bias is in them.
        self.where = attention.k_proj(position).unflatten(1, (heads, -1)).permute(1, 2, 0).contiguous()  # (H, d, N)
        self.to_keys = attention.k_proj.weight.unflatten(0, (heads, -1))  # (H, d, C)
        self.to_values = attention.v_proj.weight.unflatten(0, (heads, -1)).transpose(1, 2)  # (H, C, d)

    def __call__(self, queries: Tensor, image: Tensor) -> Tensor:
        """(B, T, C), (B, N, C) -> (B, T, C)."""
        heads = _heads(self.attention, self.attention.q_proj(queries))
        folded = torch.matmul(heads, self.to_keys).flatten(1, 2)
        scores = torch.matmul(heads, self.where).flatten(1, 2)
        weights = torch.softmax(scores.baddbmm_(folded, image.transpose(1, 2)), dim=-1)
        read = torch.bmm(weights, image).unflatten(1, heads.shape[1:3])
        values = torch.matmul(read, self.to_values).transpose(1, 2).flatten(2) + self.attention.v_proj.bias
        out: Tensor = self.attention.out_proj(values)
        return out


class _Writing:
    """Image tokens attend to the prompt tokens, and what they read is added to them."""

    def __init__(self, attention: Attention, located: Tensor) -> None:
        heads = attention.num_heads
        self.attention = attention
        self.where = attention.q_proj(located)  # (N, H * d)
        self.to_queries = attention.q_proj.weight.unflatten(0, (heads, -1))  # (H, d, C)
        self.to_out = attention.out_proj.weight.t().unflatten(0, (heads, -1))  # (H, d, C)

    def __call__(self, located: Tensor, tokens: Tensor, image: Tensor, *, only_position: bool = False) -> Tensor:
        """(B, T, C), (B, T, C), (B, N, C) -> (B, N, C); with `only_position`, queries are `where` alone."""
        keys = _heads(self.attention, self.attention.k_proj(located))
        values = self.attention.v_proj(tokens).unflatten(2, (self.attention.num_heads, -1)).transpose(1, 2)
        scores = torch.bmm(self.where.expand(len(keys), -1, -1), _on_diagonal(keys))
        if not only_position:
            folded = torch.matmul(keys, self.to_queries).permute(0, 3, 2, 1).flatten(2)
            scores.baddbmm_(image, folded)
        weights = _softmax_over_tokens(scores, keys.shape[2])
        # The weights of a head add up to one, so that a share of the bias can travel with each head's values.
        outputs = torch.matmul(values, self.to_out) + self.attention.out_proj.bias / keys.shape[1]
        return torch.baddbmm(image, weights, outputs.transpose(1, 2).flatten(1, 2))


def _softmax_over_tokens(scores: Tensor, tokens: int) -> Tensor:
    """Softmax over T of (B, N, T * H)."""
    return torch.softmax(scores.unflatten(2, (tokens, -1)), dim=2).flatten(2)


def _on_diagonal(keys: Tensor) -> Tensor:
    """Keys (B, H, T, d) -> (B, H * d, T * H), zero where row and column belong to different heads."""
    batch, heads, tokens, width = keys.shape
    blocks = keys.new_zeros(batch, heads, width, tokens, heads)
    blocks.diagonal(dim1=1, dim2=4).copy_(keys.permute(0, 3, 2, 1))
    return blocks.view(batch, heads * width, tokens * heads)


def _heads(attention: Attention, projected: Tensor) -> Tensor:
    """(B, T, H * d) -> (B, H, T, d), divided by the square root of d."""
    separate = projected.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
    return separate / math.sqrt(separate.shape[-1])


def _update_tokens(layer: TwoWayAttentionBlock, tokens: Tensor, read: Tensor) -> Tensor:
    tokens = layer.norm2(tokens + read)
    updated: Tensor = layer.norm3(tokens + layer.mlp(tokens))
    return updated


def _normalise(norm: torch.nn.LayerNorm, image: Tensor) -> Tensor:
    return functional.layer_norm(image, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _enlarge_cells(convolution: torch.nn.ConvTranspose2d, cells: Tensor) -> Tensor:
    """(K, C) -> (4 K, C'), each cell followed by the four that it becomes, row by row."""
    weight = convolution.weight.permute(0, 2, 3, 1).flatten(1)
    assert convolution.bias is not None  # noqa: S101  # `MaskDecoder` makes them with one
    return torch.addmm(convolution.bias.repeat(4), cells, weight).view(4 * len(cells), -1)


def _to_tokens(grid: Tensor) -> Tensor:
    """(1, C, h, w) -> (h * w, C)."""
    return grid[0].flatten(1).t().contiguous()
