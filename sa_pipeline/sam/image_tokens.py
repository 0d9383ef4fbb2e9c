"""Image tokens of the mask decoder that are never made, and attention from and to them.

All prompts of an image begin with the same image tokens, and what a prompt adds to one of them is a mixture of what its
few own tokens have to say. So an image token is known as a multiple of what all prompts share plus a mixture of rows,

    image[n] = scale[n] * cells[n] + sum over k of weights[k, n] * rows[k],

which attention keeps (its output is a mixture of one row per head and prompt token) and layer normalisation too: the
mean is taken off cells and rows beforehand, the variance is a quadratic form in the weights. What projections make of
`cells` is made once per image, and what they make of `rows` concerns some fifty rows a layer instead of thousands of
cells. Sums are in another order than in `segment_anything`, nothing else changes.
"""

import math
from dataclasses import dataclass

import torch
from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class ImageTokens:
    """The image tokens of B prompts: `scale` times the shared cells, and a mixture of K rows.

    Attributes:
        scale: (B, 1, N).
        weights: (B, K, N), the last one 1 for all cells.
        rows: (B, K, C).
        parts: The prompts that are worked on together, so few on a CPU that what is made of them stays in its cache.
        values: What the prompt tokens said in each layer so far, (B, H, T, d) each.
    """

    scale: Tensor
    weights: Tensor
    rows: Tensor
    parts: list[slice]
    values: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class SharedCells:
    """What the image tokens of all prompts have in common before a layer.

    Attributes:
        cells: (N, C), see `ImageTokens`.
        sources: Where the rows come from, in their order: a row (C,) that is the same for all prompts, or the maps
            (H, d, C) of a layer's values to its rows.
    """

    cells: Tensor
    sources: list[Tensor]


class Reading:
    """Prompt tokens attend to image tokens; `first`: these are still the same for all prompts."""

    def __init__(self, attention: Attention, cells: Tensor, position: Tensor, *, first: bool = False) -> None:
        heads = attention.num_heads
        self.attention = attention
        # A bias of the keys adds the same to the scores of all cells: softmax would not see it.
        keys = _by_head(functional.linear(cells, attention.k_proj.weight), heads)
        where = _by_head(functional.linear(position, attention.k_proj.weight), heads)
        self.keys, self.where = _told_apart(keys, where, first)
        values = functional.linear(cells, attention.v_proj.weight)
        self.values = values.unflatten(1, (heads, -1)).transpose(0, 1).contiguous()  # (H, N, d)
        self.to_keys = attention.k_proj.weight.unflatten(0, (heads, -1))  # (H, d, C)
        self.to_values = attention.v_proj.weight.unflatten(0, (heads, -1)).transpose(1, 2)  # (H, C, d)

    def __call__(self, queries: Tensor, image: ImageTokens) -> Tensor:
        """(B, T, C), image tokens -> (B, T, C)."""
        heads = _scaled_heads(self.attention, self.attention.q_proj(queries))
        folded = _fold(heads, self.to_keys, image)
        direct, of_rows = [], []
        for some in image.parts:
            scores = _scores(heads[some], self.keys, self.where, folded[some], image.scale[some], image.weights[some])
            weights = torch.softmax(scores, dim=-1)
            if self.where is not None:
                of_rows.append(torch.bmm(weights, image.weights[some].transpose(1, 2)))
                weights.mul_(image.scale[some])
            direct.append(_times_shared(weights.unflatten(1, heads.shape[1:3]), self.values))
        read = torch.cat(direct)
        if self.where is not None:
            mixed = torch.cat(of_rows) @ image.rows
            read = read + torch.matmul(mixed.unflatten(1, heads.shape[1:3]), self.to_values)
        out: Tensor = self.attention.out_proj(read.transpose(1, 2).flatten(2) + self.attention.v_proj.bias)
        return out


class Writing:
    """Image tokens attend to prompt tokens, what they read is added to them, and they are normalised.

    Attributes:
        after: What the image tokens of all prompts have in common afterwards.
    """

    def __init__(self, layer: TwoWayAttentionBlock, shared: SharedCells, position: Tensor, *, first: bool) -> None:
        attention: Attention = layer.cross_attn_image_to_token
        heads = attention.num_heads
        self.attention, self.norm = attention, layer.norm4
        queries = _by_head(functional.linear(shared.cells, attention.q_proj.weight), heads)
        where = _by_head(attention.q_proj(position), heads)
        self.queries, self.where = _told_apart(queries, where, first)
        self.to_queries = attention.q_proj.weight.unflatten(0, (heads, -1))  # (H, d, C)
        self.to_out = attention.out_proj.weight.t().unflatten(0, (heads, -1))  # (H, d, C)
        *earlier, bias = shared.sources
        sources = [*earlier, bias + attention.out_proj.bias, self.to_out]
        centred = _centred(shared.cells)
        self.squares = centred.float().square().sum(dim=1)  # (N,)
        self.meeting_cells = [source @ centred.t() for source in sources]  # (N,) or (H, d, N) each
        gain = self.norm.weight
        self.after = SharedCells(centred * gain, [*(_centred(source) * gain for source in sources), self.norm.bias])

    def __call__(self, located: Tensor, tokens: Tensor, image: ImageTokens) -> ImageTokens:
        """Prompt tokens (B, T, C) with and without their positions, image tokens -> image tokens."""
        heads = _scaled_heads(self.attention, self.attention.k_proj(located))
        values = _heads(self.attention, self.attention.v_proj(tokens))
        folded = _fold(heads, self.to_queries, image)
        rows = torch.cat([image.rows, torch.matmul(values, self.to_out).flatten(1, 2)], dim=1)
        before = image.rows.shape[1]
        rows[:, before - 1] += self.attention.out_proj.bias
        rows = _centred(rows)
        gram = rows @ rows.transpose(1, 2)
        values_so_far = (*image.values, values)
        weights = rows.new_empty(len(rows), rows.shape[1] + 1, image.weights.shape[2])
        weights[:, -1] = 1
        scale = torch.empty_like(image.scale)
        for some in image.parts:
            scores = _scores(
                heads[some], self.queries, self.where, folded[some], image.scale[some], image.weights[some]
            )
            mixture = weights[some, :-1]
            mixture[:, :before] = image.weights[some]
            mixture[:, before:] = torch.softmax(scores.unflatten(1, heads.shape[1:3]), dim=2).flatten(1, 2)
            said = [each[some] for each in values_so_far]
            variance = self._variance(mixture, gram[some], image.scale[some], said) / rows.shape[2]
            narrowing = torch.rsqrt(variance + self.norm.eps).to(rows.dtype)
            mixture.mul_(narrowing)
            torch.mul(image.scale[some], narrowing, out=scale[some])
        own_bias = self.norm.bias.expand(len(rows), 1, -1)
        rows = torch.cat([rows * self.norm.weight, own_bias], dim=1)
        return ImageTokens(scale, weights, rows, image.parts, values_so_far)

    def _variance(self, weights: Tensor, gram: Tensor, scale: Tensor, values: list[Tensor]) -> Tensor:
        """Summed over the channels of scale * cells + mixture of rows: (B, 1, N) float32."""
        said = iter(values)
        # The products of each row with each cell: of shared rows they are known, of others they follow from values.
        products = torch.cat(
            [
                known.expand(len(weights), 1, -1) if known.ndim == 1 else _times_shared(next(said), known).flatten(1, 2)
                for known in self.meeting_cells
            ],
            dim=1,
        )
        products.mul_(2 * scale).baddbmm_(gram, weights)
        total = products.mul_(weights).sum(dim=1, keepdim=True, dtype=torch.float32)
        return (total + self.squares * scale.float().square()).clamp_min_(0)


def _told_apart(cells: Tensor, where: Tensor, first: bool) -> tuple[Tensor, Tensor | None]:
    """Projections (H, d, N) of cells and positions; of the first cells, which nothing scales, the sum."""
    return (cells + where, None) if first else (cells, where)


def _fold(heads: Tensor, to_image: Tensor, image: ImageTokens) -> Tensor:
    """Products (B, H * T, K) of prompt tokens (B, H, T, d) with the rows, projected with (H, d, C)."""
    return torch.matmul(heads, to_image).flatten(1, 2) @ image.rows.transpose(1, 2)


def _scores(
    heads: Tensor, cells: Tensor, where: Tensor | None, folded: Tensor, scale: Tensor, weights: Tensor
) -> Tensor:
    """Products (B, H * T, N) of prompt tokens (B, H, T, d) with the projections of image tokens and their positions.

    Args:
        heads: The prompt tokens.
        cells: (H, d, N) projections of the shared cells.
        where: (H, d, N) projections of the positions; without, `cells` are all that there is.
        folded: (B, H * T, K) products with the projections of the rows.
        scale: (B, 1, N) of the image tokens.
        weights: (B, K, N) of the image tokens.
    """
    scores = _times_shared(heads, cells).flatten(1, 2)
    if where is not None:
        scores.mul_(scale).add_(_times_shared(heads, where).flatten(1, 2))
        scores.baddbmm_(folded, weights)
    return scores


def _times_shared(each: Tensor, shared: Tensor) -> Tensor:
    """Products (B, H, T, K) of (B, H, T, d) with (H, d, K)."""
    # For each head at once for all prompts: torch would copy what is shared for each of them.
    products = torch.bmm(each.transpose(0, 1).flatten(1, 2), shared)
    return products.unflatten(1, (each.shape[0], each.shape[2])).transpose(0, 1).contiguous()


def _by_head(projected: Tensor, heads: int) -> Tensor:
    """(N, H * d) -> (H, d, N)."""
    return projected.unflatten(1, (heads, -1)).permute(1, 2, 0).contiguous()


def _heads(attention: Attention, projected: Tensor) -> Tensor:
    """(B, T, H * d) -> (B, H, T, d)."""
    return projected.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)


def _scaled_heads(attention: Attention, projected: Tensor) -> Tensor:
    """(B, T, H * d) -> (B, H, T, d), divided by the square root of d."""
    heads = _heads(attention, projected)
    return heads / math.sqrt(heads.shape[-1])


def _centred(rows: Tensor) -> Tensor:
    return rows - rows.mean(dim=-1, keepdim=True)
