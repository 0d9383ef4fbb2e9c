"""`segment_anything`'s image encoder with attention in pieces that stay in the cache.

The official code makes all scores of a block at once: 800 MB for each of the four global blocks of a ViT-B, passed over
five times. A few rows at a time give the same sums, but for the order within a product.
"""

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


def encode_with_vit(encoder: ImageEncoderViT, image: Tensor) -> Tensor:
    """Normalised image (B, 3, S, S) -> embedding (B, C, S / 16, S / 16)."""
    x = encoder.patch_embed(image)
    if encoder.pos_embed is not None:
        x = x + encoder.pos_embed
    for block in encoder.blocks:
        x = _run_block(block, x)
    embedding: Tensor = encoder.neck(x.permute(0, 3, 1, 2))
    return embedding


def _run_block(block: Block, x: Tensor) -> Tensor:
    """(B, h, w, C) -> (B, h, w, C)."""
    normed = block.norm1(x)
    if block.window_size > 0:
        windows, padded = window_partition(normed, block.window_size)
        attended = window_unpartition(_attend(block.attn, windows), block.window_size, padded, x.shape[1:3])
    else:
        attended = _attend(block.attn, normed)
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


def _positions(attention: Attention, queries: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """What a cell's row and column add to its score with every other row (K, cells, h) and column (K, cells, w)."""
    if not attention.use_rel_pos:
        return queries.new_zeros(*queries.shape[:2], height), queries.new_zeros(*queries.shape[:2], width)
    grid = queries.unflatten(1, (height, width))
    by_row = torch.einsum("bhwc,hkc->bhwk", grid, get_rel_pos(height, height, attention.rel_pos_h).to(grid.dtype))
    by_column = torch.einsum("bhwc,wkc->bhwk", grid, get_rel_pos(width, width, attention.rel_pos_w).to(grid.dtype))
    return by_row.flatten(1, 2), by_column.flatten(1, 2)
