"""The built-in checkpoint's architecture: SAM's prompt encoder and mask decoder behind a small conv encoder.

Everything after the image embedding is `segment_anything`'s own code, with a wider upscaling, so that the unmodified
`SamPredictor` and `SamAutomaticMaskGenerator` work with it. The image encoder is ours: a residual convolutional
pyramid, since a plain ViT needs far more training than a laptop can give, and the codes of the image's regions.
"""

from __future__ import annotations

import numpy as np
import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.modeling.common import LayerNorm2d
from segment_anything.modeling.mask_decoder import MLP
from torch import Tensor, nn
from torch.nn import functional

from sa_pipeline.sam.region_features import CELL, CHANNELS, CODE_CHANNELS, DESCRIPTION, region_features

IMAGE_SIZE = 512
"""Side of the square input in pixels."""

EMBEDDING_STRIDE = 16
"""Input pixels per embedding cell: the embedding is 32x32 for a 512 px input."""

EMBEDDING_DIM = 128
"""Channels of the image embedding and width of the mask decoder (256 in the official models)."""

STAGE_WIDTHS = (48, 96, 192, 256)
"""Channels at stride 4, 8, 16 and 32."""

STAGE_DEPTHS = (1, 2, 3, 1)
"""Residual blocks at stride 4, 8, 16 and 32."""

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
"""`Sam.preprocess`'s own constants."""

CODE_GAIN = 3.0
"""Brings the codes of a cell's regions to about one a channel."""

HALF = EMBEDDING_DIM // 2
POSITIONS = [*range(HALF - 12, HALF - 4), *range(EMBEDDING_DIM - 12, EMBEDDING_DIM - 4)]
"""Channels of the embedding without codes: sines and cosines of the same eight waves in the positional encoding."""

CODES = [*range(HALF - 12), *range(HALF, EMBEDDING_DIM - 12)]
"""Channels with codes: number i of the codes of quarter q is in the one at place 4 i + q."""

DESCRIBED = [*range(HALF - 4, HALF), *range(EMBEDDING_DIM - 4, EMBEDDING_DIM - 2)]

UPSCALED_CHANNELS = 32
"""Channels of the upscaled embedding that masks are drawn from, twice as many as the official decoder of this width
has: they have to hold the codes of three levels."""

CHANNELS_PER_GROUP = 16
"""Group normalisation, not batch normalisation: batches are small and photographs unlike drawn scenes."""


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(channels // CHANNELS_PER_GROUP, channels)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a skip connection, normalised before each (pre-activation ResNet)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = _norm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = _norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y = self.conv1(functional.relu(self.norm1(x)))
        y = self.conv2(functional.relu(self.norm2(y)))
        out: Tensor = x + y
        return out


class GlobalAttention(nn.Module):
    """A transformer block over all cells of a feature map: the encoder's view of the whole image."""

    def __init__(self, channels: int, heads: int = 8) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        b, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        qkv = self.qkv(self.norm1(tokens)).view(b, h * w, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = functional.scaled_dot_product_attention(q, k, v)
        tokens = tokens + self.proj(attended.transpose(1, 2).reshape(b, h * w, c))
        tokens = tokens + self.mlp(self.norm2(tokens))
        out: Tensor = tokens.transpose(1, 2).reshape(b, c, h, w)
        return out


class ConvImageEncoder(nn.Module):
    """A residual pyramid at strides 4 to 32 whose levels are all summed at stride 16.

    Fine levels reach the embedding by strided convolutions as wide as their stride, so that no detail is
    skipped: the decoder has to draw mask borders from the embedding alone.

    Attributes:
        img_size: side of the square input that `SamPredictor` resizes and pads to, in pixels. The
            convolutions themselves accept any height and width that are multiples of 32.
    """

    def __init__(self, img_size: int = IMAGE_SIZE, embedding_dim: int = EMBEDDING_DIM) -> None:
        super().__init__()
        self.img_size = img_size
        w4, w8, w16, w32 = STAGE_WIDTHS
        d4, d8, d16, d32 = STAGE_DEPTHS
        self.stem = nn.Sequential(
            nn.Conv2d(3, w4 // 2, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(w4 // 2, w4, 3, stride=2, padding=1)
        )
        self.stage4 = nn.Sequential(*[ResidualBlock(w4) for _ in range(d4)])
        self.down8 = nn.Sequential(_norm(w4), nn.Conv2d(w4, w8, 2, stride=2))
        self.stage8 = nn.Sequential(*[ResidualBlock(w8) for _ in range(d8)])
        self.down16 = nn.Sequential(_norm(w8), nn.Conv2d(w8, w16, 2, stride=2))
        self.stage16 = nn.Sequential(*[ResidualBlock(w16) for _ in range(d16)])
        self.down32 = nn.Sequential(_norm(w16), nn.Conv2d(w16, w32, 2, stride=2))
        self.stage32 = nn.Sequential(
            *[ResidualBlock(w32) for _ in range(d32)], GlobalAttention(w32), GlobalAttention(w32)
        )
        self.lateral4 = nn.Sequential(_norm(w4), nn.Conv2d(w4, embedding_dim, 4, stride=4))
        self.lateral8 = nn.Sequential(_norm(w8), nn.Conv2d(w8, embedding_dim, 2, stride=2))
        self.lateral16 = nn.Sequential(_norm(w16), nn.Conv2d(w16, embedding_dim, 1))
        self.lateral32 = nn.Sequential(_norm(w32), nn.Conv2d(w32, embedding_dim, 1))
        self.regions4 = nn.Sequential(nn.Conv2d(CHANNELS, w8, 1), nn.ReLU(), nn.Conv2d(w8, w4, 1))
        self.neck = nn.Sequential(ResidualBlock(embedding_dim), _norm(embedding_dim))

    def forward(self, image: Tensor) -> Tensor:
        """Embed normalised images.

        Args:
            image: (B, 3, H, W) float32 as `Sam.preprocess` gives it; H and W multiples of 32.

        Returns:
            (B, 128, H / 16, W / 16) float32.
        """
        return self.embed(image, regions_of_batch(image))

    def prepare(self, pixels: np.ndarray) -> Tensor:
        """What `embed` needs of an image beside its pixels, so that it can be made before the model's turn.

        Args:
            pixels: (H, W, 3) uint8 RGB, brought to `img_size`.

        Returns:
            (1, C, `img_size` / 4, `img_size` / 4) float32 region features.
        """
        return torch.from_numpy(_padded_regions(pixels, (self.img_size, self.img_size)))[None]

    def embed(self, image: Tensor, regions: Tensor) -> Tensor:
        """Like `forward`, with the (B, C, H / 4, W / 4) region features known."""
        stem = self.stem(image.contiguous(memory_format=torch.channels_last))
        x4 = self.stage4(stem + self.regions4(regions))
        x8 = self.stage8(self.down8(x4))
        x16 = self.stage16(self.down16(x8))
        x32 = self.stage32(self.down32(x16))
        coarse = functional.interpolate(self.lateral32(x32), scale_factor=2.0, mode="nearest")
        fused = self.lateral4(x4) + self.lateral8(x8) + self.lateral16(x16) + coarse
        embedding: Tensor = self.neck(fused) + code_embedding(regions)
        return embedding.contiguous()


def code_embedding(regions: Tensor) -> Tensor:
    """The part of the image embedding that is not learned: the codes of the regions in each quarter of a cell.

    Args:
        regions: (B, C, H / 4, W / 4) region features.

    Returns:
        (B, 128, H / 16, W / 16): codes in `CODES`, areas and lifetimes of the regions of the three levels in
        `DESCRIBED`, zeros elsewhere.
    """
    quarters = functional.avg_pool2d(regions[:, :CODE_CHANNELS], 2)
    codes = CODE_GAIN * functional.pixel_unshuffle(quarters, 2)
    described = functional.avg_pool2d(regions[:, CODE_CHANNELS:], 4).unflatten(1, (-1, DESCRIPTION))[:, :, 3:5]
    embedding = codes.new_zeros(len(codes), EMBEDDING_DIM, *codes.shape[2:])
    embedding[:, CODES] = codes
    embedding[:, DESCRIBED] = described.flatten(1, 2)
    return embedding


def regions_of_batch(image: Tensor) -> Tensor:
    """The region features of normalised and padded images; zeros in the padding.

    Args:
        image: (B, 3, H, W) as `Sam.preprocess` gives it.

    Returns:
        (B, C, H / 4, W / 4) float32 on the same device.
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
    """The region features of an image that is padded to a size (H, W) px, (C, H / 4, W / 4) float32."""
    features = np.zeros((CHANNELS, size[0] // CELL, size[1] // CELL), np.float32)
    if pixels.size:
        found = region_features(pixels, max(size))
        features[:, : found.shape[1], : found.shape[2]] = found
    return features


def build_tiny() -> Sam:
    """Build the `tiny` SAM with random weights, in evaluation mode.

    Returns:
        A `Sam` for 512 px inputs with a (128, 32, 32) embedding and 128x128 low-resolution masks. Its
        parts and their names are those of the official models (segment_anything, `build_sam.py`).
    """
    cells = IMAGE_SIZE // EMBEDDING_STRIDE
    sam = Sam(
        image_encoder=ConvImageEncoder(),
        prompt_encoder=PromptEncoder(
            embed_dim=EMBEDDING_DIM,
            image_embedding_size=(cells, cells),
            input_image_size=(IMAGE_SIZE, IMAGE_SIZE),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=EMBEDDING_DIM,
            transformer=TwoWayTransformer(depth=2, embedding_dim=EMBEDDING_DIM, num_heads=4, mlp_dim=512),
            iou_head_depth=3,
            iou_head_hidden_dim=EMBEDDING_DIM,
        ),
    )
    decoder = sam.mask_decoder
    decoder.output_upscaling = nn.Sequential(
        nn.ConvTranspose2d(EMBEDDING_DIM, 2 * UPSCALED_CHANNELS, 2, stride=2),
        LayerNorm2d(2 * UPSCALED_CHANNELS),
        nn.GELU(),
        nn.ConvTranspose2d(2 * UPSCALED_CHANNELS, UPSCALED_CHANNELS, 2, stride=2),
        nn.GELU(),
    )
    decoder.output_hypernetworks_mlps = nn.ModuleList(
        [MLP(EMBEDDING_DIM, EMBEDDING_DIM, UPSCALED_CHANNELS, 3) for _ in range(decoder.num_mask_tokens)]
    )
    sam.image_encoder.to(memory_format=torch.channels_last)
    return sam.eval()
