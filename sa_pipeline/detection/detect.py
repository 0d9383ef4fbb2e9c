"""A detector on an image: boxes and scores."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.models.detection import FasterRCNN

from sa_pipeline.detection.boxes import Boxes


@dataclass(frozen=True)
class Detections:
    """What a detector found in one image, best first.

    Attributes:
        boxes: (N, 4) float32 XYXY in px between pixels.
        scores: (N,) float32 of 0 to 1.
    """

    boxes: Boxes
    scores: npt.NDArray[np.float32]


def detect(detector: FasterRCNN, pixels: npt.NDArray[np.uint8]) -> Detections:
    """Finds objects of any kind in an image (H, W, 3) uint8 RGB."""
    detector.eval()
    with torch.no_grad():
        found = detector([to_input(pixels, detector)])[0]
    return Detections(found["boxes"].float().cpu().numpy(), found["scores"].float().cpu().numpy())


def to_input(pixels: npt.NDArray[np.uint8], detector: FasterRCNN) -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W) float32 of 0 to 1, on the detector's device."""
    device = next(detector.parameters()).device
    return torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(2, 0, 1).float() / 255
