"""The mask decoder's two-way transformer and upscaling with the work that prompts share done once per image.

Sums are in another order than in `segment_anything`, nothing else changes.
"""

import copy

import torch
from segment_anything.modeling import MaskDecoder, Sam, TwoWayTransformer
from segment_anything.modeling.transformer import TwoWayAttentionBlock
from torch import Tensor
from torch.nn import functional

from sa_pipeline.sam.image_tokens import ImageTokens, Reading, SharedCells, Writing

CACHED_BYTES = 2 << 20
"""Weights of the prompts that are worked on together on a CPU: what its second-level caches hold."""

UPSCALED_BYTES = 1 << 20
"""Half-upscaled cells that exist at one time on a CPU; they grow fourfold on the way."""


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
        cells = _to_tokens(embedding + no_mask).to(dtype)
        position = _to_tokens(sam.prompt_encoder.get_dense_pe()).to(dtype)
        transformer: TwoWayTransformer = self.decoder.transformer
        self._steps: list[tuple[TwoWayAttentionBlock, Reading, Writing]] = []
        shared = SharedCells(cells, [cells.new_zeros(cells.shape[1])])
        for layer in transformer.layers:
            first = not self._steps
            reading = Reading(layer.cross_attn_token_to_image, shared.cells, position, first=first)
            writing = Writing(layer, shared, position, first=first)
            self._steps.append((layer, reading, writing))
            shared = writing.after
        self._last_reading = Reading(transformer.final_attn_token_to_image, shared.cells, position)
        # A transposed convolution whose stride is its size is a linear map of each cell to 2 x 2 cells, row by row.
        self._to_half, self._half_bias = _by_row(self.decoder.output_upscaling[0])
        self._to_full, self._full_bias = _by_row(self.decoder.output_upscaling[3])
        self._half = torch.matmul(shared.cells, self._to_half)  # (2, N, 2 * C')

    @property
    def bytes_each(self) -> int:
        """Of the weights of a prompt that is a point, when the transformer is through."""
        attention = self.decoder.transformer.final_attn_token_to_image
        tokens = 1 + self.decoder.num_mask_tokens + 2
        rows = 1 + len(self._steps) * (attention.num_heads * tokens + 1)
        return rows * self._half.shape[1] * self._half.itemsize

    @property
    def logits_size(self) -> tuple[int, int]:
        """Height and width of the logits: four times the embedding's."""
        return 4 * self.grid[0], 4 * self.grid[1]

    def attend(self, sparse: Tensor) -> tuple[Tensor, ImageTokens]:
        """Runs the transformer: sparse prompt embeddings (B, P, C) -> tokens (B, T, C) and image tokens."""
        decoder, transformer = self.decoder, self.decoder.transformer
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        prompt = torch.cat([own.expand(len(sparse), -1, -1), sparse.to(own.dtype)], dim=1)
        count, cells = len(prompt), self._half.shape[1]
        at_once = max(1, CACHED_BYTES // self.bytes_each) if prompt.device.type == "cpu" else count
        image = ImageTokens(
            scale=prompt.new_ones(count, 1, cells),
            weights=prompt.new_ones(count, 1, cells),
            rows=prompt.new_zeros(count, 1, prompt.shape[2]),
            parts=_slices(count, at_once),
        )
        tokens = prompt
        for layer, read, write in self._steps:
            if layer.skip_first_layer_pe:
                tokens = layer.norm1(layer.self_attn(q=tokens, k=tokens, v=tokens))
            else:
                located = tokens + prompt
                tokens = layer.norm1(tokens + layer.self_attn(q=located, k=located, v=tokens))
            tokens = layer.norm2(tokens + read(tokens + prompt, image))
            tokens = layer.norm3(tokens + layer.mlp(tokens))
            image = write(tokens + prompt, tokens, image)
        tokens = transformer.norm_final_attn(tokens + self._last_reading(tokens + prompt, image))
        return tokens, image

    def score(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T, C) -> predicted IoU (B, M) float32 of subpart, part and whole."""
        scores: Tensor = self.decoder.iou_prediction_head(tokens[:, 0])
        return scores[:, 1:].float()

    def draw(self, tokens: Tensor, image: ImageTokens, wanted: Tensor) -> Tensor:
        """Tokens (B, T, C), image tokens, prompts (K,) -> logits (K, M, 4h, 4w) float32."""
        decoder = self.decoder
        count, (height, width) = decoder.num_mask_tokens, self.grid
        mine = tokens[wanted]
        hypers = torch.stack([decoder.output_hypernetworks_mlps[i](mine[:, 1 + i]) for i in range(1, count)], dim=1)
        rows = torch.matmul(image.rows[wanted][:, None], self._to_half)  # (K, 2, rows, 2 * C')
        rows[:, :, -1] += self._half_bias
        logits = mine.new_empty(len(wanted), count - 1, height, 4, 4 * width, dtype=torch.float32)
        prompts_at_once, lines_at_once = max(1, len(wanted)), height
        if mine.device.type == "cpu":
            prompts_at_once = max(1, UPSCALED_BYTES // self._half[0].nbytes)
            lines_at_once = max(1, UPSCALED_BYTES * height // self._half[0].nbytes)
        for some in _slices(len(wanted), prompts_at_once):
            weights, scale = image.weights[wanted[some]], image.scale[wanted[some]].transpose(1, 2)
            for lines in _slices(height, lines_at_once):
                cells = slice(lines.start * width, lines.stop * width)
                for y in range(2):
                    upscaled = torch.bmm(weights[:, :, cells].transpose(1, 2), rows[some, y])
                    upscaled.addcmul_(self._half[y, cells], scale[:, cells])
                    for z, drawn in enumerate(self._finish(upscaled, hypers[some])):
                        logits[some, :, lines, 2 * y + z] = drawn.unflatten(2, (-1, 4 * width))
        return logits.flatten(2, 3)

    def _finish(self, upscaled: Tensor, hypers: Tensor) -> list[Tensor]:
        """The upper and the lower halves (K, M, 4 n) of what n half-upscaled cells (K, n, 2 C') become."""
        _, norm, activation, _, last_activation = self.decoder.output_upscaling
        upscaled = upscaled.unflatten(2, (2, -1)).flatten(0, 2)
        upscaled = activation(functional.layer_norm(upscaled, upscaled.shape[-1:], norm.weight, norm.bias, norm.eps))
        halves = [last_activation(torch.addmm(self._full_bias, upscaled, to_row)) for to_row in self._to_full]
        return [torch.bmm(hypers, half.view(len(hypers), -1, hypers.shape[2]).transpose(1, 2)) for half in halves]


def is_standard(sam: Sam) -> bool:
    """Whether prompt encoder and mask decoder are `segment_anything`'s own, so that their parts can be called."""
    decoder = sam.mask_decoder
    return type(decoder) is MaskDecoder and type(decoder.transformer) is TwoWayTransformer


def _by_row(convolution: torch.nn.ConvTranspose2d) -> tuple[Tensor, Tensor]:
    """Weights (2, C, 2 * C') and bias (2 * C',) of the two rows of cells that a cell becomes."""
    assert convolution.bias is not None  # noqa: S101  # `MaskDecoder` makes them with one
    return convolution.weight.permute(2, 0, 3, 1).flatten(2), convolution.bias.repeat(2)


def _to_tokens(grid: Tensor) -> Tensor:
    """(1, C, h, w) -> (h * w, C)."""
    return grid[0].flatten(1).t().contiguous()


def _slices(count: int, at_once: int) -> list[slice]:
    return [slice(start, start + at_once) for start in range(0, count, at_once)]
