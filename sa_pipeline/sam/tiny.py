"""The built-in checkpoint's architecture: SAM's prompt encoder and mask decoder behind the regions of the image.

Everything after the image embedding is `segment_anything`'s own code, so that the unmodified `SamPredictor` and
`SamAutomaticMaskGenerator` work with it. The image encoder is ours: instead of learning what belongs together, which
takes far more training than a laptop can give, it looks it up in the image's region tree.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn

from sa_pipeline.sam import region_features as found
from sa_pipeline.sam.region_codes import CODE_LENGTH

IMAGE_SIZE = 512
"""Side of the square input in pixels."""

EMBEDDING_STRIDE = found.CELL
"""Input pixels per embedding cell: the embedding is 32x32 for a 512 px input."""

EMBEDDING_DIM = 128
"""Channels of the image embedding and width of the mask decoder (256 in the official models)."""

HEADS = 8
"""Of the decoder's attentions, of 16 numbers each: two levels of three slots in one layer."""

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
"""`Sam.preprocess`'s own constants."""

# Where things are in the embedding. The positional encoding, which the decoder adds to it, has sines in the first half
# of its channels and cosines in the second.
HALF = EMBEDDING_DIM // 2
POSITIONS = [*range(HALF - 12, HALF - 4), *range(EMBEDDING_DIM - 12, EMBEDDING_DIM - 4)]
"""Empty: sines and cosines of the same eight waves in the positional encoding."""

CODES = list(range(found.SLOTS * CODE_LENGTH))
CHOICES = list(range(CODES[-1] + 1, CODES[-1] + 1 + found.PIXELS))
EARLIER = list(range(CHOICES[-1] + 1, CHOICES[-1] + 5))
"""Empty: mask prompts are added to them, a quarter of a cell each."""

LEARNED = 4
"""Numbers for each of the three regions of a cell that are learned from what it is like."""

DESCRIBED = [*range(EARLIER[-1] + 1, POSITIONS[0]), *range(HALF - 4, HALF)]
QUERIES = list(range(HALF, HALF + found.LEVELS * found.QUERY_LENGTH))
CORNERS = list(range(QUERIES[-1] + 1, QUERIES[-1] + 1 + found.LEVELS * 8))
"""Of the three regions' boxes, sine and cosine of the widest wave for x and y of the first and of the second corner."""

BALLAST, BALANCE = (CORNERS[-1] + 1, EMBEDDING_DIM - 4), EMBEDDING_DIM - 3
"""Two large numbers that keep the layer normalisations of the decoder from changing the size of all others, and one
that brings the sum of all to 0, so that they take no mean off."""

BALLAST_SIZE, CHOICE_SIZE = 80.0, 0.5

WIDEST_WAVE = 0.25
"""Cycles in half of the image's side: the sine of the difference of two positions tells which of them comes first."""


class RegionImageEncoder(nn.Module):
    """The regions of an image as an embedding.

    Attributes:
        img_size: side of the square input that `SamPredictor` resizes and pads to, in pixels. Any height and width
            that are multiples of 16 are taken.
        describe: the learned part, from what a region is like to four numbers.
    """

    def __init__(self, img_size: int = IMAGE_SIZE) -> None:
        super().__init__()
        self.img_size = img_size
        self.describe = nn.Sequential(
            nn.Conv2d(found.DESCRIPTION, 4 * LEARNED, 1), nn.ReLU(), nn.Conv2d(4 * LEARNED, LEARNED, 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Embed normalised images.

        Args:
            image: (B, 3, H, W) float32 as `Sam.preprocess` gives it; H and W multiples of 16.

        Returns:
            (B, 128, H / 16, W / 16) float32.
        """
        return self.embed(regions_of_batch(image))

    def prepare(self, pixels: np.ndarray) -> Tensor:
        """What `embed` takes, so that it can be made before the model's turn.

        Args:
            pixels: (H, W, 3) uint8 RGB, brought to `img_size`.

        Returns:
            (1, C, `img_size` / 16, `img_size` / 16) float32 region features.
        """
        return torch.from_numpy(_padded_regions(pixels, (self.img_size, self.img_size)))[None]

    def embed(self, regions: Tensor) -> Tensor:
        """Like `forward`, with the (B, C, H / 16, W / 16) region features known."""
        embedding = regions.new_zeros(len(regions), EMBEDDING_DIM, *regions.shape[2:])
        embedding[:, CODES] = regions[:, found.SLOT_CODES]
        embedding[:, CHOICES] = CHOICE_SIZE * regions[:, found.CHOICES]
        embedding[:, QUERIES] = regions[:, found.QUERIES]
        angles = 2.0 * math.pi * WIDEST_WAVE * (2.0 * regions[:, found.CORNERS] - 1.0)
        embedding[:, CORNERS] = torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1, 2)
        described = regions[:, found.DESCRIPTIONS].unflatten(1, (found.LEVELS, found.DESCRIPTION))
        learned = self.describe(described.flatten(0, 1)).unflatten(0, (len(regions), found.LEVELS))
        embedding[:, DESCRIBED] = learned.flatten(1, 2).to(embedding.dtype)
        embedding[:, BALLAST[0]], embedding[:, BALLAST[1]] = BALLAST_SIZE, -BALLAST_SIZE
        embedding[:, BALANCE] = -embedding.sum(dim=1)
        return embedding


def regions_of_batch(image: Tensor) -> Tensor:
    """The region features of normalised and padded images; zeros in the padding.

    Args:
        image: (B, 3, H, W) as `Sam.preprocess` gives it.

    Returns:
        (B, C, H / 16, W / 16) float32 on the same device.
    """
    height, width = image.shape[2:]
    features = []
    mean, std = np.array(PIXEL_MEAN, np.float32), np.array(PIXEL_STD, np.float32)
    for normalised in image.detach().float().cpu().permute(0, 2, 3, 1).numpy():
        content = np.abs(normalised).max(axis=2) > 0
        rows, columns = (len(np.trim_zeros(content.any(axis=axis), "b")) for axis in (1, 0))
        pixels = np.rint(normalised[:rows, :columns] * std + mean)
        features.append(_padded_regions(np.clip(pixels, 0, 255).astype(np.uint8), (height, width)))
    return torch.from_numpy(np.stack(features)).to(image.device)


def _padded_regions(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The region features of an image that is padded to a size (H, W) px, (C, H / 16, W / 16) float32."""
    features = np.zeros((found.CHANNELS, size[0] // found.CELL, size[1] // found.CELL), np.float32)
    if pixels.size:
        described = found.region_features(pixels, max(size))
        features[:, : described.shape[1], : described.shape[2]] = described
    return features


def build_tiny() -> Sam:
    """Build the `tiny` SAM with random weights, in evaluation mode.

    Returns:
        A `Sam` for 512 px inputs with a (128, 32, 32) embedding and 128x128 low-resolution masks. Its
        parts and their names are those of the official models (segment_anything, `build_sam.py`).
    """
    cells = IMAGE_SIZE // EMBEDDING_STRIDE
    sam = Sam(
        image_encoder=RegionImageEncoder(),
        prompt_encoder=PromptEncoder(
            embed_dim=EMBEDDING_DIM,
            image_embedding_size=(cells, cells),
            input_image_size=(IMAGE_SIZE, IMAGE_SIZE),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=EMBEDDING_DIM,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=EMBEDDING_DIM, num_heads=HEADS, mlp_dim=512, attention_downsample_rate=1
            ),
            iou_head_depth=3,
            iou_head_hidden_dim=EMBEDDING_DIM,
        ),
    )
    return sam.eval()
