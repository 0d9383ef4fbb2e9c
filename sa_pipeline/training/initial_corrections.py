"""Corrections and boxes written into `tiny`'s decoder: what its output for several prompts starts from.

`initial_weights` gives a click three masks. What several prompts mean together can be written down as well: each place
follows the click that it is most like, in its region's code and in position; what no click claims keeps the earlier
mask; a box cuts off everything outside and takes those regions whose share inside is larger than outside.
"""

import math
from typing import cast

import torch
from segment_anything.modeling import MaskDecoder, Sam
from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock
from torch import Tensor, nn

from sa_pipeline.sam.region_features import CODE_CHANNELS, CODE_LENGTHS
from sa_pipeline.sam.tiny import CODES, EMBEDDING_STRIDE, HALF, IMAGE_SIZE, POSITIONS
from sa_pipeline.training.initial_weights import BACKGROUND, EARLIER, FOREGROUND, LABEL_GAIN, OFFSET, U_GAIN, WAVES

WAVE_COUNT = len(POSITIONS) // 2
SINES, COSINES = POSITIONS[:WAVE_COUNT], POSITIONS[WAVE_COUNT:]
"""Channels of the positional encoding; the waves of `WAVES` in turn, each along x and along y."""

WIDEST_WAVE = 0.25
"""Cycles in half of the image's side of the first wave from now on: over the whole image, the sine of the difference of
two positions tells which of them comes first."""

# What tells tokens apart: channels of the prompts' own embeddings, beside those that `initial_weights` marks.
NOTHING, FIRST_OUTPUT, TOP_LEFT, BOTTOM_RIGHT, OUTPUT = 60, 61, 62, 63, 51
MARKS = [NOTHING, FIRST_OUTPUT, TOP_LEFT, BOTTOM_RIGHT, OUTPUT]
"""Of tokens that a place follows if it follows no other one, of output 0's, of a box's corners, of all outputs."""

# What tokens bring along: channels of their content.
SIGN, CORNER, UNUSED = 110, 111, 112
TYPES = [SIGN, CORNER, UNUSED]
"""1 for foreground and -1 for background clicks; a box's corners; a lot, in tokens that nothing else shall be in."""

SHARES, BOXED = slice(32, 32 + CODE_CHANNELS), 32 + CODE_CHANNELS
"""In output 0's: the mean code inside the box less the one outside, and whether there is a box."""

# What the image is told: channels of its content, those of the finer waves and of nothing else.
CLICKED = [SINES[6], SINES[7], COSINES[6], COSINES[7]]
"""For each quarter of a cell, the sign of the click that it follows."""

SIDES = [SINES[4], COSINES[4], SINES[5], COSINES[5]]
"""Whether a cell lies beyond the left, the upper, the right, the lower side of the box."""

OUTSIDE, FILLED = 126, 127
"""Beyond how many of them; and something that all cells have, so that normalisation does not blow up empty ones."""

FILLING, FILLED_COST = 6.0, 1.15
"""Size of the latter, and what gives the codes back the size that they lose by it in normalisation."""

TYPE_GAIN, SIGN_GAIN, CORNER_GAIN, UNUSED_GAIN = 1.5, 2.0, 8.0, 40.0
"""How sharply tokens of one type find each other, and the size of what they bring along."""

LIKENESS_GAIN, LEAST_LIKENESS, EASIER_WITHIN = 15.0, 3.4, 0.45
"""Sharpness of following a click, the likeness from which on a place follows one at all, and how much less is enough
within an earlier mask (as much more is asked for outside), for each unit of the channels in `EARLIER`."""

CODE_SHARE, POSITION_SHARES = 1.0, (2.0, 0.5)
"""Parts of that likeness: of the same region of the middle level, and of the two widest waves along each axis."""

CODE_LIKENESS = 13.0
"""Product of a click's code and its region's in an attention head, of which there is room for seven numbers."""

FOLLOWED = range(CODE_LENGTHS[0], CODE_LENGTHS[0] + 7)
COMPARED = range(CODE_LENGTHS[0], CODE_CHANNELS)
"""Numbers of the codes by which places follow clicks and by which inside and outside of a box are compared."""

EXCLUDED = 100.0
"""A difference of attention logits that nothing else makes up for."""

SIDE_SHARPNESS, INSIDE_SHARPNESS, FILLED_SHARPNESS = 60.0, 6.0, 1.0
SIDE_GAIN, SHARE_GAIN, BOXED_GAIN = 2.0, 5.0, 2.0
SHARE_THRESHOLD, BOXED_THRESHOLD, SIDE_THRESHOLD = 0.8, 1.0, 0.7
"""What is less is taken for noise."""

EARLIER_PART, CLICKED_PART = 0.5, 2.0
"""Of the earlier mask and of the clicks in the one channel that they are drawn from."""

DRAWN_LOGIT, OUTSIDE_LOGIT, SHARE_LOGIT, BOX_LOGIT, NOTHING_LOGIT = 8.0, 15.0, 0.4, 3.0, -2.0
"""Logits for one unit of that channel, beyond a side, for a region's share, in any box, for nothing."""


def bind_corrections(sam: Sam) -> None:
    """Writes corrections and boxes into a decoder that `bind_regions` started, trained since or not.

    The four heads of the first layer's attention from image to tokens serve a quarter of a cell each, those of the
    second layer's a side of the box each, and the last attention compares inside and outside.

    Args:
        sam: A `tiny`. Its encoder stays as it is; its answers to one click change a little.
    """
    transformer = sam.mask_decoder.transformer
    first, second = transformer.layers
    with torch.no_grad():
        _clear_positions(sam)
        _mark_tokens(sam)
        _find_types(first.self_attn, first.norm1)
        _keep_channels_apart(first, second)
        _follow_clicks(first.cross_attn_image_to_token)
        _find_sides(second.cross_attn_image_to_token)
        _compare_shares(transformer.final_attn_token_to_image)
        _draw(sam.mask_decoder)


def _attentions(decoder: MaskDecoder) -> list[Attention]:
    transformer = decoder.transformer
    names = ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token")
    within = [getattr(layer, name) for layer in transformer.layers for name in names]
    return [*within, transformer.final_attn_token_to_image]


def _clear_positions(sam: Sam) -> None:
    """Takes the random waves out of the positional encoding, so that codes and marks stand alone in their channels."""
    decoder = sam.mask_decoder
    random_waves = [wave for wave in range(HALF) if wave not in SINES]
    matrix = sam.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
    matrix[:, random_waves] = 0.0
    matrix[0, SINES[0]] = matrix[1, SINES[1]] = WIDEST_WAVE
    # Their cosines are 1 everywhere from now on, which is taken off again wherever they are read.
    cosines = [HALF + wave for wave in random_waves]
    for attention in _attentions(decoder):
        for projection in (attention.q_proj, attention.k_proj):
            projection.bias -= projection.weight[:, cosines].sum(dim=1)
    values = decoder.transformer.layers[0].self_attn.v_proj
    values.bias -= values.weight[:, cosines].sum(dim=1)


def _mark_tokens(sam: Sam) -> None:
    encoder, decoder = sam.prompt_encoder, sam.mask_decoder
    top_left, bottom_right = encoder.point_embeddings[2:]
    everything = [decoder.iou_token, decoder.mask_tokens, encoder.not_a_point_embed, *encoder.point_embeddings]
    for embedding in everything:
        embedding.weight[:, MARKS] = 0.0
    decoder.iou_token.weight[:, NOTHING] = encoder.not_a_point_embed.weight[:, NOTHING] = LABEL_GAIN
    decoder.mask_tokens.weight[:, OUTPUT] = LABEL_GAIN
    decoder.mask_tokens.weight[0, FIRST_OUTPUT] = LABEL_GAIN
    top_left.weight[:, TOP_LEFT] = bottom_right.weight[:, BOTTOM_RIGHT] = LABEL_GAIN
    for attention in _attentions(decoder):
        attention.q_proj.weight[:, MARKS] = 0.0
        attention.k_proj.weight[:, MARKS] = 0.0
    decoder.transformer.layers[0].self_attn.v_proj.weight[:, MARKS] = 0.0


def _find_types(attention: Attention, norm: nn.LayerNorm) -> None:
    """The first head lets tokens of one type find each other, and take over from each other what they are."""
    per_head = attention.internal_dim // attention.num_heads
    for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
        projection.weight[:per_head] = 0.0
        projection.bias[:per_head] = 0.0
    clicks = (list(range(marks.start, marks.stop)) for marks in (FOREGROUND, BACKGROUND))
    for row, channels in enumerate([[NOTHING], [OUTPUT], [TOP_LEFT], [BOTTOM_RIGHT], *clicks]):
        for projection in (attention.q_proj, attention.k_proj):
            projection.weight[row, channels] = TYPE_GAIN / len(channels)
    values = attention.v_proj.weight
    values[0, FOREGROUND], values[0, BACKGROUND] = 0.5 / LABEL_GAIN, -0.5 / LABEL_GAIN
    values[1, [TOP_LEFT, BOTTOM_RIGHT]] = 1.0 / LABEL_GAIN
    values[2, NOTHING] = 1.0 / LABEL_GAIN
    attention.out_proj.weight[:, :per_head] = 0.0
    attention.out_proj.weight[TYPES] = 0.0
    attention.out_proj.bias[TYPES] = norm.bias[TYPES] = 0.0
    for column, (channel, gain) in enumerate(zip(TYPES, (SIGN_GAIN, CORNER_GAIN, UNUSED_GAIN), strict=True)):
        # Far more than anything else that comes out: normalised, it is about the root of the number of channels.
        attention.out_proj.weight[channel, column] = 4.0
        norm.weight[channel] = gain / math.sqrt(norm.normalized_shape[0])


def _keep_channels_apart(first: TwoWayAttentionBlock, second: TwoWayAttentionBlock) -> None:
    """Keeps the tokens' content out of the channels of positions and marks, and everything else out of the types."""
    own = [*POSITIONS, *MARKS, *range(FOREGROUND.start, BACKGROUND.stop)]
    for layer in (first, second):
        for norm in (layer.norm2, layer.norm3):
            norm.weight[own] = norm.bias[own] = 0.0
        layer.mlp.lin1.weight[:, TYPES] = 0.0
        for writes in (layer.mlp.lin2, layer.cross_attn_token_to_image.out_proj):
            writes.weight[TYPES] = 0.0
            writes.bias[TYPES] = 0.0
    second.self_attn.out_proj.weight[TYPES] = 0.0
    second.self_attn.out_proj.bias[TYPES] = 0.0
    # Where there is no foreground click, no code is taken over.
    second.self_attn.k_proj.weight[0, NOTHING] = 1.0
    final = slice(SHARES.start, BOXED + 1)
    second.norm3.weight[final] = second.norm3.bias[final] = 0.0
    coarse = [*SINES[:4], *COSINES[:4]]
    first.norm4.weight[[*SIDES, OUTSIDE, *coarse]] = 0.0
    first.norm4.bias[[*SIDES, OUTSIDE, *coarse]] = 0.0
    first.norm4.weight[CODES] *= FILLED_COST


def _clear(attention: Attention) -> int:
    for projection in (attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj):
        projection.weight.zero_()
        projection.bias.zero_()
    return attention.internal_dim // attention.num_heads


def _follow_clicks(attention: Attention) -> None:
    """Each quarter of a cell takes the sign of the click that it is most like, or nothing where it is like none."""
    per_head = _clear(attention)
    scale = math.sqrt(per_head)
    queries, keys, values = attention.q_proj, attention.k_proj, attention.v_proj
    for quarter in range(4):
        row = quarter * per_head
        values.weight[row, SIGN] = 1.0
        # Normalisation takes the mean off: `UNUSED` leaves a little of itself in all other channels.
        values.weight[row, UNUSED] = 0.0114
        attention.out_proj.weight[CLICKED[quarter], row] = 1.0
        gain = math.sqrt(scale * LIKENESS_GAIN * CODE_SHARE / CODE_LIKENESS)
        for number in FOLLOWED:
            channel = CODES[4 * number + quarter]
            queries.weight[row, channel] = keys.weight[row, number] = gain
            queries.bias[row] = -gain * (channel >= HALF)
            row += 1
        below, right = divmod(quarter, 2)
        for wave, (cycles, share) in enumerate(zip((WIDEST_WAVE, WAVES[1]), POSITION_SHARES, strict=True)):
            gain = math.sqrt(scale * LIKENESS_GAIN * share)
            for axis, half in enumerate((right, below)):
                sine, cosine = SINES[2 * wave + axis], COSINES[2 * wave + axis]
                angle = 4 * math.pi * cycles * (half - 0.5) * EMBEDDING_STRIDE / 2 / IMAGE_SIZE
                queries.weight[row, sine] = queries.weight[row + 1, cosine] = gain * math.cos(angle)
                queries.weight[row, cosine] = gain * math.sin(angle)
                queries.weight[row + 1, sine] = -gain * math.sin(angle)
                keys.weight[row, sine] = keys.weight[row + 1, cosine] = gain
                row += 2
        queries.bias[row] = scale
        queries.weight[row, EARLIER[quarter]] = -scale * EASIER_WITHIN / LEAST_LIKENESS
        keys.weight[row, NOTHING] = LIKENESS_GAIN * LEAST_LIKENESS / LABEL_GAIN
        keys.weight[row, [TOP_LEFT, BOTTOM_RIGHT]] = -EXCLUDED / LABEL_GAIN
    attention.out_proj.bias[FILLED] = FILLING


def _find_sides(attention: Attention) -> None:
    """Each head lets the cells beyond one side of the box find that side's corner, and all others nothing."""
    per_head = _clear(attention)
    scale = math.sqrt(per_head)
    queries, keys = attention.q_proj, attention.k_proj
    gain = math.sqrt(scale * SIDE_SHARPNESS)
    for head, (corner, axis) in enumerate(((TOP_LEFT, 0), (TOP_LEFT, 1), (BOTTOM_RIGHT, 0), (BOTTOM_RIGHT, 1))):
        row = head * per_head
        sine, cosine = SINES[axis], COSINES[axis]
        # The sine of corner minus cell is above 0 where the cell comes first, which is outside at the first corner.
        direction = 1.0 if corner == TOP_LEFT else -1.0
        queries.weight[row, cosine] = queries.weight[row + 1, sine] = gain
        keys.weight[row, sine], keys.weight[row + 1, cosine] = direction * gain, -direction * gain
        queries.bias[row + 2] = scale
        keys.weight[row + 2, [corner, NOTHING]] = EXCLUDED / LABEL_GAIN
        attention.v_proj.weight[row, CORNER] = 1.0
        attention.out_proj.weight[[SIDES[head], OUTSIDE], row] = SIDE_GAIN


def _compare_shares(attention: Attention) -> None:
    """Two heads give output 0 the mean code of all cells inside the box less that of all outside; without one, zero."""
    per_head = attention.internal_dim // attention.num_heads
    scale = math.sqrt(per_head)
    queries, keys, values, out = attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj
    both = slice(0, 2 * per_head)
    for projection in (queries, keys, values):
        projection.weight[both] = 0.0
        projection.bias[both] = 0.0
    out.weight[:, both] = 0.0
    out.weight[SHARES.start : BOXED + 1] = 0.0
    out.bias[SHARES.start : BOXED + 1] = 0.0
    for head, sign in enumerate((1.0, -1.0)):
        row = head * per_head
        queries.weight[row, FIRST_OUTPUT] = -sign * scale * INSIDE_SHARPNESS / LABEL_GAIN
        keys.weight[row, OUTSIDE] = 1.0
        # Normalised, empty cells of the padding have twice as much of it as others.
        queries.weight[row + 1, FIRST_OUTPUT] = -scale * FILLED_SHARPNESS / LABEL_GAIN
        keys.weight[row + 1, FILLED] = 1.0
        for place, number in enumerate(COMPARED):
            values.weight[row + place, CODES[4 * number : 4 * number + 4]] = 1.0
            out.weight[SHARES.start + number, row + place] = sign * SHARE_GAIN
    values.weight[both.stop - 1, OUTSIDE] = 1.0
    out.weight[BOXED, both.stop - 1] = BOXED_GAIN


def _draw(decoder: MaskDecoder) -> None:
    """Output 0 adds up the earlier mask, the clicks, the box and the shares of regions in it."""
    first, second = (cast(nn.ConvTranspose2d, decoder.output_upscaling[index]) for index in (0, 3))
    first_bias, second_bias = cast(Tensor, first.bias), cast(Tensor, second.bias)
    plus, minus, beyond = range(2 * CODE_CHANNELS, 2 * CODE_CHANNELS + 3)
    constant, drawn, cut = range(CODE_CHANNELS, CODE_CHANNELS + 3)
    first.weight[:, [plus, minus, beyond]] = 0.0
    first_bias[[plus, minus]] = 0.0
    for quarter in range(4):
        row, column = divmod(quarter, 2)
        for channel, part in ((EARLIER[quarter], EARLIER_PART), (CLICKED[quarter], CLICKED_PART)):
            first.weight[channel, plus, row, column], first.weight[channel, minus, row, column] = part, -part
    first.weight[SIDES, beyond] = 1.0
    first_bias[beyond] = -SIDE_THRESHOLD
    second.weight[:, [drawn, cut]] = 0.0
    second.weight[plus, drawn], second.weight[minus, drawn] = U_GAIN, -U_GAIN
    second.weight[beyond, cut] = 1.0
    second_bias[cut] = 0.0
    for mlp in decoder.output_hypernetworks_mlps[1:]:
        last = mlp.layers[2]
        # Without an earlier mask `drawn` was as constant as `constant`.
        last.weight[constant] += last.weight[drawn]
        last.bias[constant] += last.bias[drawn]
        last.weight[[drawn, cut]] = 0.0
        last.bias[[drawn, cut]] = 0.0
    one, two, three = decoder.output_hypernetworks_mlps[0].layers
    for layer in (one, two, three):
        layer.weight.zero_()
        layer.bias.zero_()
    for place, number in enumerate(COMPARED):
        for hidden, sign in ((2 * place, 1.0), (2 * place + 1, -1.0)):
            one.weight[hidden, SHARES.start + number], one.bias[hidden] = sign, -SHARE_THRESHOLD
            two.weight[hidden, hidden] = 1.0
            three.weight[number, hidden], three.weight[constant, hidden] = sign * SHARE_LOGIT, -sign * SHARE_LOGIT
    boxed = 2 * len(COMPARED)
    one.weight[boxed, BOXED], one.bias[boxed] = 1.0, -BOXED_THRESHOLD
    two.weight[boxed, boxed] = 1.0
    three.weight[constant, boxed] = BOX_LOGIT / OFFSET
    three.bias[drawn], three.bias[cut] = DRAWN_LOGIT, -OUTSIDE_LOGIT
    three.bias[constant] = NOTHING_LOGIT / OFFSET - DRAWN_LOGIT
