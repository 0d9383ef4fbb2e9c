"""A small feature pyramid that trains from nothing on a CPU: a residual network with group normalisation."""

import itertools
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import FeaturePyramidNetwork

WIDTHS = (32, 64, 128, 192, 256)
"""Channels at stride 4, 8, 16, 32 and 64."""

DEPTHS = (1, 2, 2, 1, 1)
"""Residual blocks at stride 4, 8, 16, 32 and 64."""

OUT_CHANNELS = 96
"""Channels of every level of the pyramid, which begins at stride 8."""

CHANNELS_PER_GROUP = 16
"""Group normalisation takes the place of batch normalisation, which fails with the two or four images of a step that a
CPU has time for (Wu and He 2018)."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a skip connection, normalised before each (pre-activation ResNet, He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(channels // CHANNELS_PER_GROUP, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(channels // CHANNELS_PER_GROUP, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y = self.conv1(functional.relu(self.norm1(x)))
        y = self.conv2(functional.relu(self.norm2(y)))
        out: Tensor = x + y
        return out


class SmallPyramid(nn.Module):
    """Levels at stride 8 to 64 of one width, coarse ones added into fine ones (Lin et al. 2017).

    A level at stride 4 would take three quarters of the anchors and half of a step's time.

    Attributes:
        out_channels: Channels of each level, as torchvision's detectors ask for them.
    """

    out_channels = OUT_CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, WIDTHS[0] // 2, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(WIDTHS[0] // 2, WIDTHS[0], 3, stride=2, padding=1),
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*[ResidualBlock(width) for _ in range(depth)])
            for width, depth in zip(WIDTHS, DEPTHS, strict=True)
        )
        self.downs = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in itertools.pairwise(WIDTHS)
        )
        self.fpn = FeaturePyramidNetwork(list(WIDTHS[1:]), OUT_CHANNELS)

    def forward(self, images: Tensor) -> "OrderedDict[str, Tensor]":
        """(B, 3, H, W) -> levels '0' to '3' of (B, C, h, w), the finest first."""
        x = self.stages[0](self.stem(images.contiguous(memory_format=torch.channels_last)))
        levels = []
        for down, stage in zip(self.downs, self.stages[1:], strict=True):
            x = stage(down(functional.relu(x)))
            levels.append(x)
        features: OrderedDict[str, Tensor] = self.fpn(OrderedDict((str(i), level) for i, level in enumerate(levels)))
        return features
