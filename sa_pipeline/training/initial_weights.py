"""Weights that `tiny` starts from: a mask decoder that works before the first step of training.

From random weights a click has no effect for hundreds of steps, and that pixels with the same code belong together
takes many thousands to find out. Both can be written down.
"""

from typing import cast

import torch
from segment_anything.modeling import MaskDecoder, Sam
from segment_anything.modeling.transformer import Attention
from torch import Tensor, nn

from sa_pipeline.sam.region_features import CODE_CHANNELS, CODE_LENGTHS
from sa_pipeline.sam.tiny import CODES, DESCRIBED, POSITIONS

POSITION_GAIN = 3.2
"""How sharply attention follows position; 1 leaves it nearly uniform over the image."""

WAVES = (0.5, 1.2, 3.0, 6.0)
"""Cycles in half of the image's side, along each axis; a cell is 1/16 of that, and the last tells neighbours apart."""

COPIED = CODE_CHANNELS + 2 * len(CODE_LENGTHS)
"""Numbers that a token takes over from the image: codes, areas and lifetimes. They lie at the token's beginning."""

FOREGROUND, BACKGROUND, LABEL_GAIN = slice(124, 126), slice(126, 128), 6.0
"""Channels and size of the marks by which foreground and background clicks are found among the tokens."""

ATTENTION_TO_CLICKS, COPY_GAIN, BACKGROUND_GAIN, LATE_GAIN = 6.0, 12.0, 2.0, 0.1
NECK_GAIN, SIDE_GAIN = 0.05, 0.03
"""Of what is not written down: the learned part of the embedding, and all other ways through the decoder."""

OFFSET, U_GAIN = 3.0, 0.5
"""GELU leaves numbers around 3 as they are; codes are brought there and the hypernetworks take the 3 off again."""

FULL_LIKENESS = 10.0
"""About the product of a level's code in a token with the same code in the upscaled embedding."""

EARLIER = DESCRIBED[:4]
"""Channels that the earlier mask is added to, a quarter of a cell each."""

EARLIER_GAIN, EARLIER_WEIGHT = 2.0, 4.0

CONTRAST = 0.7
"""Factor on the logits, which brings them to what the losses ask for."""

LIKENESS = (0.25, 0.65, 0.65, 0.6)
"""Scalar product of two codes from which on a pixel belongs to the mask, for each of the four outputs."""


def bind_positions(sam: Sam) -> None:
    """Starts the decoder's attention between tokens and image cells at the similarity of their positions.

    Queries and keys get the same projection, of channels that hold nothing but the positional encoding of eight waves:
    their product falls with distance, and a click finds its cell from the first step.
    """
    transformer = sam.mask_decoder.transformer
    attentions = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        attentions += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    with torch.no_grad():
        matrix = sam.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
        waves = POSITIONS[: len(POSITIONS) // 2]
        matrix[:, waves] = 0.0
        for axis in range(2):
            matrix[axis, waves[axis::2]] = torch.tensor(WAVES)
        for attention in attentions:
            per_head = attention.internal_dim // attention.num_heads
            weight = POSITION_GAIN * torch.eye(attention.q_proj.in_features)[POSITIONS]
            for projection in (attention.q_proj, attention.k_proj):
                projection.weight.copy_(weight[:per_head].repeat(attention.num_heads, 1))
                projection.bias.zero_()
        transformer.layers[0].norm1.weight.mul_(SIDE_GAIN)


def bind_regions(sam: Sam) -> None:
    """Starts the decoder at: the mask is where the region's code is that of the clicked pixel.

    A click's token takes the codes over from its cell, the output tokens take them over from the clicks, the
    hypernetwork of each output keeps the code of one level, and its product with the upscaled embedding, which holds
    the codes of all pixels, is the mask. Everything else starts small and is learned.

    Args:
        sam: A `tiny` with random weights.
    """
    decoder = sam.mask_decoder
    first, second = decoder.transformer.layers
    with torch.no_grad():
        sam.image_encoder.neck[-1].weight.mul_(NECK_GAIN)
        sam.image_encoder.neck[-1].weight[POSITIONS] = 0.0
        sam.prompt_encoder.no_mask_embed.weight.zero_()
        _mark_clicks(sam)
        first.self_attn.out_proj.weight[:COPIED] = 0.0
        for attention, gain in (
            (first.cross_attn_token_to_image, 1.0),
            (second.cross_attn_token_to_image, LATE_GAIN),
            (decoder.transformer.final_attn_token_to_image, LATE_GAIN),
        ):
            _copy_from_image(attention, gain)
        _copy_from_clicks(second.self_attn)
        for layer in (first, second):
            layer.mlp.lin2.weight.mul_(SIDE_GAIN)
            layer.cross_attn_image_to_token.out_proj.weight.mul_(SIDE_GAIN)
        _pass_codes(decoder.output_upscaling)
        for output in range(decoder.num_mask_tokens):
            _compare_codes(decoder, output)
        bind_earlier_masks(sam)


def bind_earlier_masks(sam: Sam) -> None:
    """Starts the output for several prompts at: the earlier mask, and the regions clicked since added or taken away.

    The sign of the earlier logits in each quarter of a cell goes through the mask encoder into channels of the
    embedding, and through the upscaling into one of its own.
    """
    decoder = sam.mask_decoder
    with torch.no_grad():
        _pass_masks(sam.prompt_encoder.mask_downscaling)
        enlargements = _enlargements(decoder.output_upscaling)
        first, second = (layer.weight for layer in enlargements)
        plus, minus, drawn = 2 * CODE_CHANNELS, 2 * CODE_CHANNELS + 1, CODE_CHANNELS + 1
        first[:, [plus, minus]] = 0.0
        for quarter, channel in enumerate(EARLIER):
            row, column = divmod(quarter, 2)
            first[channel, plus, row, column], first[channel, minus, row, column] = 1.0, -1.0
        second[:, drawn] = 0.0
        second[plus, drawn], second[minus, drawn] = U_GAIN, -U_GAIN
        cast(Tensor, enlargements[1].bias)[drawn] = OFFSET
        _compare_codes(decoder, 0)
        last = decoder.output_hypernetworks_mlps[0].layers[2]
        last.weight[drawn] = 0.0
        last.bias[drawn] = EARLIER_WEIGHT
        last.bias[CODE_CHANNELS] -= EARLIER_WEIGHT


def _pass_masks(downscaling: nn.Sequential) -> None:
    one, two, three = (cast(nn.Conv2d, downscaling[index]) for index in (0, 3, 6))
    for layer in (one, two, three):
        layer.weight.mul_(SIDE_GAIN)
        cast(Tensor, layer.bias).zero_()
    one.weight[0], one.weight[1] = 0.25, -0.25
    one.weight[2:] = 0.0
    for quarter, channel in enumerate(EARLIER):
        row, column = divmod(quarter, 2)
        two.weight[2 * quarter : 2 * quarter + 2] = 0.0
        for sign, place in ((1.0, 2 * quarter), (-1.0, 2 * quarter + 1)):
            two.weight[place, 0, row, column], two.weight[place, 1, row, column] = sign, -sign
        three.weight[channel] = 0.0
        three.weight[channel, 2 * quarter], three.weight[channel, 2 * quarter + 1] = EARLIER_GAIN, -EARLIER_GAIN


def _enlargements(upscaling: nn.Sequential) -> tuple[nn.ConvTranspose2d, nn.ConvTranspose2d]:
    return cast(nn.ConvTranspose2d, upscaling[0]), cast(nn.ConvTranspose2d, upscaling[3])


def _mark_clicks(sam: Sam) -> None:
    encoder, decoder = sam.prompt_encoder, sam.mask_decoder
    marks = slice(FOREGROUND.start, BACKGROUND.stop)
    others = [decoder.iou_token, decoder.mask_tokens, encoder.not_a_point_embed, *encoder.point_embeddings]
    for embedding in others:
        embedding.weight.mul_(SIDE_GAIN)
        embedding.weight[:, marks] = 0.0
    background, foreground = encoder.point_embeddings[:2]
    foreground.weight[:, FOREGROUND] = LABEL_GAIN
    background.weight[:, BACKGROUND] = LABEL_GAIN


def _copy_from_image(attention: Attention, gain: float) -> None:
    attention.v_proj.weight.mul_(SIDE_GAIN)
    attention.out_proj.weight.mul_(SIDE_GAIN)
    attention.v_proj.weight[:COPIED] = 0.0
    attention.out_proj.weight[:COPIED] = 0.0
    attention.out_proj.weight[:, :COPIED] = 0.0
    for number in range(CODE_CHANNELS):
        attention.v_proj.weight[number, CODES[4 * number : 4 * number + 4]] = 1.0
    for number, channel in enumerate(DESCRIBED, start=CODE_CHANNELS):
        attention.v_proj.weight[number, channel] = 1.0
    attention.out_proj.weight[:COPIED, :COPIED] = gain * torch.eye(COPIED)


def _copy_from_clicks(attention: Attention) -> None:
    """The first head adds what foreground clicks hold, the second subtracts what background clicks hold."""
    per_head = attention.internal_dim // attention.num_heads
    for projection in (attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj):
        projection.weight.mul_(SIDE_GAIN)
    attention.out_proj.weight[:COPIED] = 0.0
    for head, (channels, gain) in enumerate(((FOREGROUND, COPY_GAIN), (BACKGROUND, -BACKGROUND_GAIN))):
        row = head * per_head
        attention.q_proj.weight[row] = 0.0
        attention.q_proj.bias[row] = ATTENTION_TO_CLICKS
        attention.k_proj.weight[row] = 0.0
        attention.k_proj.weight[row, channels] = 1.0
        attention.v_proj.weight[row : row + CODE_CHANNELS] = torch.eye(CODE_CHANNELS, attention.v_proj.in_features)
        attention.out_proj.weight[:, row : row + per_head] = 0.0
        attention.out_proj.weight[:CODE_CHANNELS, row : row + CODE_CHANNELS] = gain * torch.eye(CODE_CHANNELS)


def _pass_codes(upscaling: nn.Sequential) -> None:
    """Carries the codes through both enlargements unchanged; `gelu(x) - gelu(-x)` is x."""
    first, second = _enlargements(upscaling)
    first_bias, second_bias = cast(Tensor, first.bias), cast(Tensor, second.bias)
    first.weight.mul_(SIDE_GAIN)
    second.weight.mul_(SIDE_GAIN)
    first.weight[:, : 2 * CODE_CHANNELS] = 0.0
    second.weight[:, :CODE_CHANNELS] = 0.0
    for number in range(CODE_CHANNELS):
        for quarter in range(4):
            row, column = divmod(quarter, 2)
            first.weight[CODES[4 * number + quarter], number, row, column] = 1.0
            first.weight[CODES[4 * number + quarter], CODE_CHANNELS + number, row, column] = -1.0
        second.weight[number, number] = U_GAIN
        second.weight[CODE_CHANNELS + number, number] = -U_GAIN
    first_bias.zero_()
    second_bias.zero_()
    second.weight[:, CODE_CHANNELS] = 0.0
    second_bias[: CODE_CHANNELS + 1] = OFFSET


def _compare_codes(decoder: MaskDecoder, output: int) -> None:
    """Outputs 1 to 3 compare the codes of one level each; output 0, the one for several prompts, of the middle one."""
    lengths = torch.tensor([0, *CODE_LENGTHS]).cumsum(0).tolist()
    level = output - 1 if output else 1
    kept = range(lengths[level], lengths[level + 1])
    one, two, three = decoder.output_hypernetworks_mlps[output].layers
    for layer in (one, two, three):
        layer.bias.zero_()
    three.weight.mul_(SIDE_GAIN)
    pairs = [(2 * place, 2 * place + 1) for place in range(len(kept))]
    hidden = 2 * len(kept)
    two.weight[:hidden] = 0.0
    two.weight[:hidden, :hidden] = torch.eye(hidden)
    three.weight[:, :hidden] = 0.0
    one.weight[:hidden] = 0.0
    for number, (plus, minus) in zip(kept, pairs, strict=True):
        one.weight[plus, number], one.weight[minus, number] = 1.0, -1.0
        three.weight[number, plus], three.weight[number, minus] = CONTRAST, -CONTRAST
        three.weight[CODE_CHANNELS, plus], three.weight[CODE_CHANNELS, minus] = -CONTRAST, CONTRAST
    three.bias[CODE_CHANNELS] = -CONTRAST * LIKENESS[output] * FULL_LIKENESS / OFFSET
