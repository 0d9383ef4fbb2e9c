"""`segment_anything`'s image encoder with attention in pieces that stay in the cache.

The official code makes all scores of a block at once: 800 MB for each of the four global blocks of a ViT-B, three times
over. A few rows at a time give the same sums, but for the order within a product; a few heads at a time give the same
bits as well.
"""

import functools
import warnings
from collections.abc import Callable

import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import (
    Attention,
    Block,
    get_rel_pos,
    window_partition,
    window_unpartition,
)
from torch import Tensor

SCORES_AT_ONCE = {"cpu": 1 << 20, "cuda": 1 << 27}
"""Attention scores that exist at one time: 4 MB of float32 where a cache holds them, more where launches cost."""


HEADS_SCORES_AT_ONCE = 1 << 24
"""Scores from which on heads are worked on in turns where every bit counts: less is not worth it."""


def encode_with_vit(encoder: ImageEncoderViT, image: Tensor, *, bit_for_bit: bool = False) -> Tensor:
    """Normalised image (B, 3, S, S) -> embedding (B, C, S / 16, S / 16).

    Args:
        encoder: The official encoder, of any size.
        image: float32, or in the arithmetic of autocast.
        bit_for_bit: Every sum is in the official order.
    """
    attend = _attend_by_heads if bit_for_bit else _attend
    x = encoder.patch_embed(image)
    if encoder.pos_embed is not None:
        x = x + encoder.pos_embed
    for block in encoder.blocks:
        x = _run_block(block, x, attend)
    embedding: Tensor = encoder.neck(x.permute(0, 3, 1, 2))
    return embedding


def _run_block(block: Block, x: Tensor, attend: Callable[[Attention, Tensor], Tensor]) -> Tensor:
    """(B, h, w, C) -> (B, h, w, C)."""
    normed = block.norm1(x)
    if block.window_size > 0:
        windows, padded = window_partition(normed, block.window_size)
        attended = window_unpartition(attend(block.attn, windows), block.window_size, padded, x.shape[1:3])
    else:
        attended = attend(block.attn, normed)
    x = x + attended
    out: Tensor = x + block.mlp(block.norm2(x))
    return out


def _attend(attention: Attention, x: Tensor) -> Tensor:
    """(B, h, w, C) -> (B, h, w, C)."""
    batch, height, width, _ = x.shape
    heads, cells = attention.num_heads, height * width
    qkv = attention.qkv(x).view(batch, cells, 3, heads, -1).permute(2, 0, 3, 1, 4)
    queries, keys, values = qkv.flatten(1, 2).contiguous().unbind(0)  # (B * heads, cells, d) each
    by_row, by_column = _positions(attention, queries, height, width)
    out = torch.empty_like(queries)
    budget = SCORES_AT_ONCE.get(x.device.type, 1 << 27)
    heads_at_once, rows_at_once = max(1, budget // cells**2), max(1, min(cells, budget // cells))
    for head in range(0, len(queries), heads_at_once):
        some = slice(head, head + heads_at_once)
        for start in range(0, cells, rows_at_once):
            rows = slice(start, start + rows_at_once)
            scores = (by_row[some, rows, :, None] + by_column[some, rows, None, :]).flatten(2)
            scores.baddbmm_(queries[some, rows], keys[some].transpose(1, 2), alpha=attention.scale)
            out[some, rows] = torch.bmm(torch.softmax(scores, dim=-1), values[some])
    joined = out.view(batch, heads, cells, -1).transpose(1, 2).reshape(batch, height, width, -1)
    attended: Tensor = attention.proj(joined)
    return attended


def _attend_by_heads(attention: Attention, x: Tensor) -> Tensor:
    """(B, h, w, C) -> (B, h, w, C), with the official code's bits."""
    batch, height, width, channels = x.shape
    heads, cells = batch * attention.num_heads, height * width
    at_once = _heads_at_once(heads, cells, channels // attention.num_heads) if x.device.type == "cpu" else heads
    if at_once == heads:
        official: Tensor = attention(x)
        return official
    qkv = attention.qkv(x).reshape(batch, cells, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    queries, keys, values = qkv.reshape(3, heads, cells, -1).unbind(0)
    by_row, by_column = _positions(attention, queries, height, width)
    out = torch.empty_like(queries)
    for start in range(0, heads, at_once):
        some = slice(start, start + at_once)
        scores = (queries[some] * attention.scale) @ keys[some].transpose(1, 2)
        if attention.use_rel_pos:
            grid = scores.unflatten(2, (height, width))
            grid.add_(by_row[some, :, :, None]).add_(by_column[some, :, None, :])
        out[some] = torch.softmax(scores, dim=-1) @ values[some]
    joined = out.view(batch, attention.num_heads, height, width, -1).permute(0, 2, 3, 1, 4)
    attended: Tensor = attention.proj(joined.reshape(batch, height, width, -1))
    return attended


def _heads_at_once(heads: int, cells: int, width: int) -> int:
    """How many heads can be worked on in turns without another bit; all of them where fewer cannot, or save nothing."""
    threads = torch.get_num_threads()
    # Threads share out the heads; with a remainder, products are shared out in another way.
    at_once = next((n for n in range(threads, heads, threads) if heads % n == 0), heads)
    if heads * cells**2 < HEADS_SCORES_AT_ONCE or at_once == heads:
        return heads
    return at_once if _in_turns_as_together(at_once, cells, width, threads) else heads


@functools.cache
def _in_turns_as_together(count: int, cells: int, width: int, threads: int) -> bool:
    if _heads_are_independent(count, cells, width):
        return True
    warnings.warn(
        f"torch {torch.__version__} with {threads} threads rounds a head's attention on this machine by how many heads "
        "it is given; the official encoder is used as it is: the results are the same, but this takes more memory.",
        RuntimeWarning,
        stacklevel=2,
    )
    return False


def _heads_are_independent(count: int, cells: int, width: int) -> bool:
    """Whether the installed torch computes some heads to the same bits alone as with as many others."""
    drawn = torch.randn(3, 2 * count, cells, width, generator=torch.Generator().manual_seed(0))
    queries, keys, values = drawn.unbind(0)
    scores = queries @ keys.transpose(1, 2)
    if not torch.equal(scores[:count], queries[:count] @ keys[:count].transpose(1, 2)):
        return False
    weights = scores.softmax(dim=-1)
    del scores
    return torch.equal((weights @ values)[:count], weights[:count] @ values[:count])


def _positions(attention: Attention, queries: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """What a cell's row and column add to its score with every other row (K, cells, h) and column (K, cells, w)."""
    if not attention.use_rel_pos:
        return queries.new_zeros(*queries.shape[:2], height), queries.new_zeros(*queries.shape[:2], width)
    grid = queries.unflatten(1, (height, width))
    by_row = torch.einsum("bhwc,hkc->bhwk", grid, get_rel_pos(height, height, attention.rel_pos_h).to(grid.dtype))
    by_column = torch.einsum("bhwc,wkc->bhwk", grid, get_rel_pos(width, width, attention.rel_pos_w).to(grid.dtype))
    return by_row.flatten(1, 2), by_column.flatten(1, 2)
