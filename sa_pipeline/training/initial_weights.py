"""Weights that `tiny` starts from: a mask decoder that works before the first step of training.

From random weights a click has no effect for hundreds of steps, and that pixels of one region belong together takes
many thousands to find out. Both can be written down, with nothing but `segment_anything`'s own layers:

1. A click's token looks up the cell that it lies in, and takes over the queries of the three regions there. A box's
   tokens take over those of the regions whose boxes are most like it.
2. Each of the three parts of an image cell follows the token whose region it lies in, level by level: its code
   multiplied with the region's query tells. What it finds is 1 for foreground, -1 for background, 0 for nothing.
3. The upscaling gives each pixel what its part has found. Outputs 1 to 3 draw one level each; output 0, for several
   prompts, draws what two of three levels say, and the earlier mask.

4. The predicted IoU is the higher the longer a region lasts in the tree. To know better is left to training.
"""

import math
from typing import cast

import torch
from segment_anything.modeling import MaskDecoder, Sam
from segment_anything.modeling.common import LayerNorm2d, MLPBlock
from segment_anything.modeling.mask_decoder import MLP
from segment_anything.modeling.transformer import Attention
from torch import Tensor, nn

from sa_pipeline.sam.region_codes import CODE_LENGTH
from sa_pipeline.sam.region_features import LEVELS, QUERY_LENGTH, SLOTS
from sa_pipeline.sam.tiny import (
    BALANCE,
    BALLAST,
    BALLAST_SIZE,
    CHOICE_SIZE,
    CHOICES,
    CODES,
    CORNERS,
    DESCRIBED,
    EARLIER,
    EMBEDDING_DIM,
    EMBEDDING_STRIDE,
    HALF,
    IMAGE_SIZE,
    LEARNED,
    POSITIONS,
    QUERIES,
    WIDEST_WAVE,
)

WAVES = (WIDEST_WAVE, 1.2, 3.0, 6.0)
"""Cycles in half of the image's side, along each axis; a cell is 1/16 of that, and the last tells neighbours apart."""

SINES, COSINES = POSITIONS[: len(POSITIONS) // 2], POSITIONS[len(POSITIONS) // 2 :]
"""Channels of the positional encoding: the waves of `WAVES` in turn, each along x and along y."""

# Marks of what a token is, in its prompt's own embedding.
MARK = 6.0
FOREGROUND, BACKGROUND, NOTHING, OUTPUT, TOP_LEFT, BOTTOM_RIGHT = MARKS = range(40, 46)
"""`NOTHING` is what places follow that no click or box claims."""

# What tokens bring along.
LEARNED_ALL = LEVELS * LEARNED
LOOKED_UP = range(LEVELS * QUERY_LENGTH + LEARNED_ALL)
"""Queries of the three regions, and the four numbers about each."""

OF_BOX = range(64, 64 + len(LOOKED_UP))
"""The same, of the regions that fit a box."""

SIGN, CORNER, UNUSED, BOXED = range(OF_BOX.stop, OF_BOX.stop + 4)
"""1 or -1 for what is and is not in the mask; 1 in a box's corners; 1 in tokens that bring nothing; 1 in all tokens
where there is a box."""

PLACES = range(BOXED + 1, BOXED + 9)
"""Sines and cosines of a box's two corners."""

REST = sorted(
    set(range(EMBEDDING_DIM)) - {*LOOKED_UP, *OF_BOX, *MARKS, SIGN, CORNER, UNUSED, BOXED, *PLACES, *POSITIONS}
)
"""What brings the sum of all to 0, so that normalisation takes no mean off; in several channels, to be small."""

# What the image's cells find, in channels that hold the finer waves' positions and nothing else.
FOUND = [*SINES[2:], *COSINES[2:]][: LEVELS * SLOTS]
"""For each level and slot, the sign of the token that it follows."""

OUTSIDE = [*SINES[2:], *COSINES[2:]][LEVELS * SLOTS]
"""Beyond how many sides of the box."""

HERE = COSINES[7]
"""The sign of a click in the cell itself."""

EXCLUDED = 100.0
"""A difference of attention logits that nothing else makes up for."""

TYPE_LOGIT = 42.25
TYPE_SIZE, BOX_SIGN, PLACE_SIZE = 4.0, 11.0, 2.0
LOOK_UP_GAIN, QUERY_SIZE, LEARNED_SIZE, PASSED_SIZE = 14.0, 8.0, 1.0, 3.0
"""What is learned about regions varies, so that it stays small beside the queries until it is passed on: what tokens
bring along, which normalisation makes smaller by all that they hold, is of nearly one size everywhere."""

SHIFT = 0.25
"""Of a cell: how far left of and above a click it is looked up, so that one on a cell's border has one answer."""

BOX_SHARPNESS = 400.0
"""Of the likeness of boxes: the logit for a sum of cosines that is larger by one."""

FOUND_SIGN = 6.2
"""Of what a token brings along, after normalisation: it counts as 1 in the image."""

MEMBERSHIP, NEARNESS, NOTHING_LOGIT = 60.0, 3.0, 3.5
"""Attention logits of a part for a region's token, for one unit of the product, of nearness, and for nothing."""

SIDE_SHARPNESS = 60.0
HERE_SHARPNESS, HERE_SHARES, HERE_LOSS = 15.0, {0: 20.0, 2: 1.0, 3: 1.0}, 1.9
"""Logit for one unit of the sum of cosines, parts of the waves in it, and how much less than the whole still counts as
the cell of a click: at its corner 1.7 are missing, in the middle of the next cell 2.1."""

EARLIER_GAIN = 2.0
SIDE_GAIN = 0.03
"""Of all ways through the mask encoder that are not written down."""

OFFSET, SHARPNESS = 4.0, 12.0
"""GELU leaves numbers around 4 as they are; multiplied by 12, those below 0 vanish and those above stay."""

OUTSIDE_SIZE = 2.0
"""What lies beyond a side of the box counts as 2 less than what it has found."""

LOGIT = 10.0
"""Half of it is the size of the logits. They are ten times as large in the exported weights."""

VOTES, EARLIER_VOTES, ENOUGH_VOTES, ENOUGH_IN_BOX = (4.0, 2.0, 1.0), 1.8, 1.65, 0.53
"""For output 0, of the small, the middle and the large region and of the earlier mask: a click always decides about its
small region, about its middle one unless others object; of a box's three regions one is enough."""

ENOUGH_SHARE = 0.53
"""Of a pixel within the region, for outputs 1 to 3. Shares are sixteenths, of which no sum may be just enough: rounding
would decide then, and two batches differ."""

OBJECTIONS = (4.0, 1.0, 1.0)
"""Votes of a background click against its small, its middle and its large region."""

HERE_VOTES = 8.0
"""A click decides about its own cell in any case."""

EXPECTED_IOU, WORTH, LASTING = 0.5, 0.12, {1: 1.0, 2: 0.5}
"""Predicted IoU of a middling region, and what it grows by with the logarithms of lifetime and merging distance."""


def bind_decoder(sam: Sam) -> None:
    """Writes down the weights of everything.

    Args:
        sam: A `tiny`. Random weights stay only where nothing passes through them yet.
    """
    decoder = sam.mask_decoder
    first, second = decoder.transformer.layers
    with torch.no_grad():
        _describe(sam)
        _mark_tokens(sam)
        _pass_masks(sam.prompt_encoder.mask_downscaling)
        for attention in _attentions(decoder):
            _clear(attention)
        for layer in (first, second):
            layer.mlp.lin2.weight.zero_()
            layer.mlp.lin2.bias.zero_()
            layer.norm4.weight.fill_(math.sqrt(2.0 * BALLAST_SIZE**2 / layer.norm4.normalized_shape[0]))
        _find_types(first.self_attn)
        _look_up(first.cross_attn_token_to_image)
        _settle(first.mlp)
        for head in range(2 * SLOTS):
            level, slot = divmod(head, SLOTS)
            _follow(first.cross_attn_image_to_token, head, level, slot)
        _be_here(first.cross_attn_image_to_token, 2 * SLOTS)
        _pass_descriptions(second.self_attn)
        for slot in range(SLOTS):
            _follow(second.cross_attn_image_to_token, slot, LEVELS - 1, slot)
        _find_sides(second.cross_attn_image_to_token, SLOTS)
        _upscale(decoder.output_upscaling)
        _draw(decoder)
        _expect(decoder.iou_prediction_head)


def _attentions(decoder: MaskDecoder) -> list[Attention]:
    transformer = decoder.transformer
    names = ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token")
    within = [getattr(layer, name) for layer in transformer.layers for name in names]
    return [*within, transformer.final_attn_token_to_image]


def _clear(attention: Attention) -> None:
    """Nothing is left of chance: what is not written down passes nothing."""
    for projection in (attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj):
        projection.weight.zero_()
        projection.bias.zero_()


def _describe(sam: Sam) -> None:
    """The four numbers about a region start as area, lifetime, merging distance and how central the cell lies."""
    into, out = sam.image_encoder.describe[0], sam.image_encoder.describe[2]
    out.weight.zero_()
    out.bias.zero_()
    for number, channel in enumerate((0, 1, 2, 5)):
        into.weight[2 * number : 2 * number + 2] = 0.0
        into.bias[2 * number : 2 * number + 2] = 0.0
        into.weight[2 * number, channel], into.weight[2 * number + 1, channel] = 1.0, -1.0
        out.weight[number, 2 * number], out.weight[number, 2 * number + 1] = 1.0, -1.0


def _mark_tokens(sam: Sam) -> None:
    encoder, decoder = sam.prompt_encoder, sam.mask_decoder
    matrix = encoder.pe_layer.positional_encoding_gaussian_matrix
    matrix.zero_()
    for axis in range(2):
        matrix[axis, SINES[axis::2]] = torch.tensor(WAVES)
    background, foreground, top_left, bottom_right = encoder.point_embeddings
    for embedding, mark in (
        (foreground, FOREGROUND),
        (background, BACKGROUND),
        (top_left, TOP_LEFT),
        (bottom_right, BOTTOM_RIGHT),
        (encoder.not_a_point_embed, NOTHING),
        (decoder.iou_token, NOTHING),
        (decoder.mask_tokens, OUTPUT),
    ):
        embedding.weight.zero_()
        embedding.weight[:, mark] = MARK
    encoder.no_mask_embed.weight.zero_()


def _pass_masks(downscaling: nn.Sequential) -> None:
    """The sign of the earlier logits in each quarter of a cell."""
    one, two, three = (cast(nn.Conv2d, downscaling[index]) for index in (0, 3, 6))
    for layer in (one, two, three):
        layer.weight.mul_(SIDE_GAIN)
        cast(Tensor, layer.bias).zero_()
    one.weight[0], one.weight[1] = 0.25, -0.25
    one.weight[2:] = 0.0
    three.weight.zero_()
    for quarter, channel in enumerate(EARLIER):
        row, column = divmod(quarter, 2)
        two.weight[2 * quarter : 2 * quarter + 2] = 0.0
        for sign, place in ((1.0, 2 * quarter), (-1.0, 2 * quarter + 1)):
            two.weight[place, 0, row, column], two.weight[place, 1, row, column] = sign, -sign
        three.weight[channel, 2 * quarter], three.weight[channel, 2 * quarter + 1] = EARLIER_GAIN, -EARLIER_GAIN
    three.weight[BALANCE] = -three.weight[EARLIER].sum(dim=0)


def _first_row(attention: Attention, head: int) -> int:
    return head * (attention.internal_dim // attention.num_heads)


def _gain(attention: Attention, logit: float) -> float:
    """What query and key are multiplied with each, for a product of 1 to count as `logit`."""
    return math.sqrt(logit * math.sqrt(attention.internal_dim // attention.num_heads))


def _bring(projection: nn.Linear, channel: int, row: int, size: float) -> None:
    """Writes number `row` into a channel of the tokens, and takes it off those in `REST`."""
    projection.weight[channel, row] = size
    projection.weight[REST, row] -= size / len(REST)


def _tell_image(projection: nn.Linear, channel: int, row: int) -> None:
    """Writes number `row` into a channel of the image's cells, and takes it off `BALANCE`."""
    projection.weight[channel, row], projection.weight[BALANCE, row] = 1.0, -1.0


def _find_types(attention: Attention) -> None:
    """Tokens of one type find each other and learn what they are; all learn where the box's corners are."""
    gain = _gain(attention, TYPE_LOGIT) / MARK
    for row, mark in enumerate(MARKS):
        attention.q_proj.weight[row, mark] = attention.k_proj.weight[row, mark] = gain
    values = attention.v_proj.weight
    values[0, FOREGROUND], values[0, BACKGROUND] = 1.0 / MARK, -1.0 / MARK
    values[0, [TOP_LEFT, BOTTOM_RIGHT]] = BOX_SIGN / TYPE_SIZE / MARK
    values[1, [TOP_LEFT, BOTTOM_RIGHT]] = 1.0 / MARK
    values[2, [NOTHING, OUTPUT]] = 1.0 / MARK
    written = {SIGN: (0, TYPE_SIZE), CORNER: (1, TYPE_SIZE), UNUSED: (2, TYPE_SIZE)}
    for head, corner in ((1, TOP_LEFT), (2, BOTTOM_RIGHT)):
        start = _first_row(attention, head)
        attention.q_proj.bias[start] = 4.0
        attention.k_proj.weight[start, NOTHING] = EXCLUDED / 2 / MARK
        attention.k_proj.weight[start, corner] = EXCLUDED / MARK
        if corner == TOP_LEFT:
            values[start + 4, TOP_LEFT] = 1.0 / MARK
            written[BOXED] = (start + 4, TYPE_SIZE)
        for place, channel in enumerate((SINES[0], COSINES[0], SINES[1], COSINES[1])):
            values[start + place, channel] = 1.0
            written[PLACES[4 * (head - 1) + place]] = (start + place, PLACE_SIZE)
    for channel, (row, size) in written.items():
        _bring(attention.out_proj, channel, row, size)


def _look_up(attention: Attention) -> None:
    """Three heads read at a click's place, three those cells whose region of one level fits the box best."""
    queries, keys, values = attention.q_proj, attention.k_proj, attention.v_proj
    taken = [QUERIES[level * QUERY_LENGTH :][:QUERY_LENGTH] for level in range(LEVELS)]
    learned = [DESCRIBED[level * LEARNED :][:LEARNED] for level in range(LEVELS)]
    box_gain = math.sqrt(BOX_SHARPNESS * 4.0 / PLACE_SIZE)
    for level in range(LEVELS):
        at_click, at_box = _first_row(attention, level), _first_row(attention, LEVELS + level)
        for wave, cycles in enumerate(WAVES):
            angle = 4.0 * math.pi * cycles * SHIFT * EMBEDDING_STRIDE / IMAGE_SIZE
            for axis in range(2):
                row = at_click + 4 * wave + 2 * axis
                sine, cosine = SINES[2 * wave + axis], COSINES[2 * wave + axis]
                queries.weight[row, sine] = queries.weight[row + 1, cosine] = LOOK_UP_GAIN * math.cos(angle)
                queries.weight[row, cosine] = -LOOK_UP_GAIN * math.sin(angle)
                queries.weight[row + 1, sine] = LOOK_UP_GAIN * math.sin(angle)
                keys.weight[row, sine] = keys.weight[row + 1, cosine] = LOOK_UP_GAIN
        for place in range(8):
            queries.weight[at_box + place, PLACES[place]] = box_gain
            # The corners' own positional encoding is 1 there.
            queries.bias[at_box + place] = -box_gain
            _read_image(keys, at_box + place, CORNERS[8 * level + place], box_gain)
        for start, channels in ((at_click, LOOKED_UP), (at_box, OF_BOX)):
            into = [*channels[level * QUERY_LENGTH :][:QUERY_LENGTH]]
            into += [*channels[LEVELS * QUERY_LENGTH + level * LEARNED :][:LEARNED]]
            for place, (source, channel) in enumerate(zip([*taken[level], *learned[level]], into, strict=True)):
                size = QUERY_SIZE if place < QUERY_LENGTH else LEARNED_SIZE
                values.weight[start + place, source] = 1.0
                _bring(attention.out_proj, channel, start + place, size)


def _read_image(projection: nn.Linear, row: int, channel: int, gain: float) -> None:
    """Reads a channel of the image where positions are added to it: empty cosines are 1 everywhere."""
    projection.weight[row, channel] = gain
    if channel >= HALF and channel not in POSITIONS:
        projection.bias[row] -= gain


def _settle(mlp: MLPBlock) -> None:
    """Corners put what fits the box in the place of what lies at them; tokens that bring nothing forget it all."""
    one, two = mlp.lin1, mlp.lin2
    hidden = 0
    for own, of_box in zip(LOOKED_UP, OF_BOX, strict=True):
        for flag, other, gate, threshold in ((CORNER, of_box, 9.0, 6.0), (UNUSED, None, 1.0, 4.0)):
            for sign in (1.0, -1.0):
                one.weight[hidden] = 0.0
                one.weight[hidden, own] = -sign
                if other is not None:
                    one.weight[hidden, other] = sign
                one.weight[hidden, flag], one.bias[hidden] = gate, -threshold
                # The difference of the two is twice the number that is added.
                _bring(two, own, hidden, sign / 2)
                hidden += 1


def _follow(attention: Attention, head: int, level: int, slot: int) -> None:
    """One part of each cell takes the sign of the token in whose region of a level it lies."""
    row = _first_row(attention, head)
    queries, keys = attention.q_proj, attention.k_proj
    attention.v_proj.weight[row, SIGN] = 1.0 / FOUND_SIGN
    _tell_image(attention.out_proj, FOUND[level * SLOTS + slot], row)
    gain = _gain(attention, MEMBERSHIP)
    for number in range(QUERY_LENGTH):
        if number < CODE_LENGTH:
            _read_image(queries, row, CODES[slot * CODE_LENGTH + number], gain)
        else:
            queries.bias[row] = gain
        keys.weight[row, LOOKED_UP[level * QUERY_LENGTH + number]] = gain
        row += 1
    gain = _gain(attention, NEARNESS)
    for channel in (SINES[0], COSINES[0], SINES[1], COSINES[1]):
        queries.weight[row, channel] = keys.weight[row, channel] = gain
        row += 1
    queries.bias[row] = math.sqrt(attention.internal_dim // attention.num_heads)
    keys.weight[row, NOTHING] = NOTHING_LOGIT / MARK
    keys.weight[row, OUTPUT] = -EXCLUDED / MARK


def _be_here(attention: Attention, head: int) -> None:
    """Each cell finds the click that lies in it."""
    row = _first_row(attention, head)
    queries, keys = attention.q_proj, attention.k_proj
    attention.v_proj.weight[row, SIGN] = 1.0 / FOUND_SIGN
    attention.v_proj.weight[row, CORNER] = -BOX_SIGN / TYPE_SIZE / FOUND_SIGN
    _tell_image(attention.out_proj, HERE, row)
    for wave, share in HERE_SHARES.items():
        gain = _gain(attention, HERE_SHARPNESS * share)
        for channel in (*SINES[2 * wave : 2 * wave + 2], *COSINES[2 * wave : 2 * wave + 2]):
            queries.weight[row, channel] = keys.weight[row, channel] = gain
            row += 1
    queries.bias[row] = math.sqrt(attention.internal_dim // attention.num_heads)
    keys.weight[row, NOTHING] = HERE_SHARPNESS * (2.0 * sum(HERE_SHARES.values()) - HERE_LOSS) / MARK
    keys.weight[row, OUTPUT] = -EXCLUDED / MARK


def _pass_descriptions(attention: Attention) -> None:
    """The token of the predicted IoU, and the outputs', take over what is known about the prompts' regions."""
    attention.q_proj.weight[0, [NOTHING, OUTPUT]] = 4.0 / MARK
    attention.k_proj.weight[0, [FOREGROUND, TOP_LEFT, BOTTOM_RIGHT]] = EXCLUDED / MARK
    attention.k_proj.weight[0, NOTHING] = EXCLUDED / 2 / MARK
    for place, channel in enumerate(LOOKED_UP[LEVELS * QUERY_LENGTH :]):
        attention.v_proj.weight[place, channel] = 1.0
        _bring(attention.out_proj, channel, place, PASSED_SIZE)


def _find_sides(attention: Attention, first_head: int) -> None:
    """Each head lets the cells beyond one side of the box find that side's corner, and all others nothing."""
    queries, keys = attention.q_proj, attention.k_proj
    gain = _gain(attention, SIDE_SHARPNESS)
    sides = ((TOP_LEFT, 0), (TOP_LEFT, 1), (BOTTOM_RIGHT, 0), (BOTTOM_RIGHT, 1))
    for head, (corner, axis) in enumerate(sides, start=first_head):
        row = _first_row(attention, head)
        sine, cosine = SINES[axis], COSINES[axis]
        # The sine of corner minus cell is above 0 where the cell comes first, which is outside at the first corner.
        direction = 1.0 if corner == TOP_LEFT else -1.0
        queries.weight[row, cosine] = queries.weight[row + 1, sine] = gain
        keys.weight[row, sine], keys.weight[row + 1, cosine] = direction * gain, -direction * gain
        queries.bias[row + 2] = math.sqrt(attention.internal_dim // attention.num_heads)
        keys.weight[row + 2, [corner, NOTHING]] = EXCLUDED / MARK
        attention.v_proj.weight[row, CORNER] = 1.0
        _tell_image(attention.out_proj, OUTSIDE, row)


def _enlargements(upscaling: nn.Sequential) -> tuple[nn.ConvTranspose2d, nn.ConvTranspose2d]:
    return cast(nn.ConvTranspose2d, upscaling[0]), cast(nn.ConvTranspose2d, upscaling[3])


def _upscale(upscaling: nn.Sequential) -> None:
    """Gives each pixel what its parts of the cell have found, as far as it lies in each of them.

    A part counts where what it found, 0 or 1, and its share of the pixel, 0 to 1, sum up to more than 1: by the share
    of the found parts then, so that a mask's border runs through the pixels in which it lies.
    """
    first, second = _enlargements(upscaling)
    norm = cast(LayerNorm2d, upscaling[1])
    first_bias, second_bias = cast(Tensor, first.bias), cast(Tensor, second.bias)
    for parameter in (first.weight, first_bias, second.weight, second_bias, norm.bias):
        parameter.zero_()
    ballast = BALLAST_SIZE / 2
    size = math.sqrt(2.0 * ballast**2 / len(norm.weight))
    norm.weight.fill_(size)
    found = range(LEVELS * SLOTS)
    objections = range(found.stop, 2 * found.stop)
    sides = range(objections.stop, objections.stop + 2 * 4)
    earlier, here, *stones, rest = (sides.stop + place for place in (0, 2, 3, 4, 5))
    for channel, source in zip(found, FOUND, strict=True):
        first.weight[source, channel], first.weight[OUTSIDE, channel] = 1.0, -OUTSIDE_SIZE
    norm.bias[list(found)] = OFFSET
    for channel, of_level in zip(objections, found, strict=True):
        first.weight[:, channel] = -first.weight[:, of_level]
    norm.weight[list(objections)] = size * SHARPNESS
    for quarter in range(4):
        row, column = divmod(quarter, 2)
        for pixel in range(4):
            below, right = divmod(pixel, 2)
            source = CHOICES[4 * (2 * row + below) + 2 * column + right]
            first.weight[source, sides[2 * pixel], row, column] = -1.0
            first.weight[source, sides[2 * pixel + 1], row, column] = 1.0
        first.weight[EARLIER[quarter], earlier : earlier + 2, row, column] = 1.0
    norm.weight[list(sides)] = size * SHARPNESS / CHOICE_SIZE
    first.weight[HERE, here] = 1.0
    norm.bias[here] = OFFSET
    first.weight[BALLAST[0], stones[0]], first.weight[BALLAST[1], stones[1]] = 0.5, 0.5
    first.weight[:, rest] = -first.weight.sum(dim=1)
    norm.weight[earlier : earlier + 2] = 2.0 * OFFSET * size
    norm.bias[earlier], norm.bias[earlier + 1] = -OFFSET, -OFFSET - 1.0
    free, constant, drawn, clicked = _drawn_channels()
    for pixel in range(4):
        row, column = divmod(pixel, 2)
        for channel in (*found, *free):
            slot = channel % SLOTS
            shares = {0: (1.0, 0.0), 1: (-1.0, -1.0), 2: (0.0, 1.0)}[slot]
            for side, share in zip(sides[2 * pixel : 2 * pixel + 2], shares, strict=True):
                second.weight[side, channel, row, column] = share
            second_bias[channel] = SHARPNESS if slot == 1 else 0.0
            if channel in found:
                second.weight[channel, channel, row, column] = SHARPNESS
                second_bias[channel] -= SHARPNESS * (OFFSET + 1.0)
            else:
                for level, vote in enumerate(OBJECTIONS):
                    second.weight[objections[level * SLOTS + slot], channel, row, column] = -vote / OBJECTIONS[0]
        second.weight[earlier, drawn, row, column], second.weight[earlier + 1, drawn, row, column] = 1.0, -1.0
        second.weight[here, clicked, row, column] = 1.0
    second_bias[[constant, drawn]] = OFFSET


def _drawn_channels() -> tuple[range, int, int, int]:
    """Of the upscaled embedding, behind what is found: where nothing objects, for each slot; 1; earlier mask; click."""
    free = range(LEVELS * SLOTS, (LEVELS + 1) * SLOTS)
    constant, drawn, clicked = range(free.stop, free.stop + 3)
    return free, constant, drawn, clicked


def _draw(decoder: MaskDecoder) -> None:
    """Outputs 1 to 3 draw a level each, output 0 what the levels and the earlier mask vote for."""
    free, constant, drawn, clicked = _drawn_channels()
    for output, mlp in enumerate(decoder.output_hypernetworks_mlps):
        one, two, last = mlp.layers
        last.weight.zero_()
        last.bias.zero_()
        votes = VOTES if output == 0 else [float(level == output - 1) for level in range(LEVELS)]
        for level, vote in enumerate(votes):
            last.bias[level * SLOTS : (level + 1) * SLOTS] = LOGIT * vote / SHARPNESS
        last.bias[constant] = -LOGIT * (ENOUGH_VOTES + OBJECTIONS[0] if output == 0 else ENOUGH_SHARE) / OFFSET
        if output == 0:
            last.bias[free.start : free.stop] = LOGIT * OBJECTIONS[0] / SHARPNESS
            last.bias[drawn] = LOGIT * EARLIER_VOTES
            last.bias[clicked] = LOGIT * HERE_VOTES
            last.bias[constant] -= LOGIT * (EARLIER_VOTES + HERE_VOTES)
            # Where there is a box, the first is above 1; the second is 0 then, and 1 elsewhere.
            one.weight[0], one.bias[0] = 0.0, -1.0
            one.weight[0, BOXED] = 20.0
            two.weight[0], two.bias[0] = 0.0, 1.0
            two.weight[0, 0] = -1.0
            last.bias[constant] += LOGIT * (ENOUGH_VOTES - ENOUGH_IN_BOX) / OFFSET
            last.weight[constant, 0] = -LOGIT * (ENOUGH_VOTES - ENOUGH_IN_BOX) / OFFSET


def _expect(head: MLP) -> None:
    """Outputs 1 to 3 by how long their regions last, output 0 by the middle one's."""
    one, two, three = head.layers
    for layer in (one, two, three):
        layer.bias.zero_()
    three.weight.zero_()
    three.bias.fill_(EXPECTED_IOU)
    for level in range(LEVELS):
        for sign in (1.0, -1.0):
            hidden = 2 * level + int(sign < 0)
            one.weight[hidden] = 0.0
            two.weight[hidden] = 0.0
            two.weight[hidden, hidden] = 1.0
            for number, share in LASTING.items():
                one.weight[hidden, LOOKED_UP[LEVELS * QUERY_LENGTH + level * LEARNED + number]] = sign * share
            three.weight[level + 1, hidden] = sign * WORTH
            if level == 1:
                three.weight[0, hidden] = sign * WORTH
