"""Drawn scenes with the boxes of their masks; as a program, a training run that a test may kill."""

import sys
from pathlib import Path

import numpy as np
import torch

from sa_pipeline.detection.boxes import BoxedImage
from sa_pipeline.detection.train import train_detector
from sa_pipeline.masks.boxes import masks_to_boxes
from sa_pipeline.progress import SilentProgress
from sa_pipeline.settings import DetectorSettings
from sa_pipeline.training.scenes import draw_scene

SIDE = 128

SMALL = DetectorSettings(
    input_size=SIDE, max_input_size=SIDE, jitter=(1.0, 1.0), steps=60, warmup_steps=5, images=2, learning_rate=2e-3
)

SHORT = SMALL.model_copy(update={"steps": 8, "jitter": (0.75, 1.25), "save_seconds": 0.0})


class DrawnBoxes:
    """So many scenes of flat colours, the same ones for the same seed."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> BoxedImage:
        scene = draw_scene((self.seed, index), (SIDE, SIDE), 0.0)
        boxes = masks_to_boxes(scene.masks).astype(np.float32)
        boxes[:, 2:] += 1
        return BoxedImage(scene.image, (boxes,))


if __name__ == "__main__":
    torch.set_num_threads(1)
    train_detector(DrawnBoxes(6, 1), SHORT, Path(sys.argv[1]), SilentProgress())
