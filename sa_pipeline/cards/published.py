"""What is published of SA-1B and of the datasets that its paper compares it with; every number with its place.

The paper is Kirillov et al., "Segment Anything", arXiv 2304.02643. Of its Figures 5 and 6 it publishes curves, not
numbers, so that only what stands in the text and in the legend is here.
"""

from dataclasses import dataclass

PAPER = "Kirillov et al., Segment Anything, https://arxiv.org/abs/2304.02643"


@dataclass(frozen=True)
class PublishedDataset:
    """A dataset's images and masks, as the legend of the paper's Figure 6 rounds them."""

    name: str
    images: int
    masks: int

    @property
    def masks_per_image(self) -> float:
        """The mean, as exact as the rounded counts are."""
        return self.masks / self.images


DATASETS = (
    PublishedDataset("SA-1B", 11_000_000, 1_129_000_000),
    PublishedDataset("ADE20K", 28_000, 700_000),
    PublishedDataset("LVIS v1", 120_000, 1_500_000),
    PublishedDataset("COCO", 123_000, 900_000),
    PublishedDataset("Open Images", 1_000_000, 2_700_000),
)
"""Legend of Figure 6."""

SA1B_IMAGES = "11 million (§5)"
SA1B_MASKS = "1.1 billion (§5)"
SA1B_MASKS_PER_IMAGE = "about 100 (Appendix F.1)"
SA1B_SHORTER_SIDE = "1,500 px (§5)"
SA1B_SOURCE_SIZE = "3,300 x 4,950 px on average (§5)"
SA1B_PREDICTED_IOU = 0.88
"""Exported masks lie above (Appendix B)."""
SA1B_STABILITY = 0.95
"""Exported masks have at least this (Appendix B)."""
SA1B_AUDIT = (
    "In SA-1B, people perfected all masks of 500 images (about 50,000): 94 % of the masks had an IoU over 0.90 with "
    "what people made of them, 97 % over 0.75 (§5)."
)
SA1B_PRIVACY = (
    "In SA-1B, faces and vehicle licence plates were blurred: faces were found by RetinaFace; the model for plates was "
    "not made public (§5, Appendix F)."
)
PAPER_ROUNDS = (
    "In the paper's first stage a mask took 34 s in the beginning and 14 s in the end, and masks an image rose from 20 "
    "to 44; in the second a mask took 34 s, and they rose to 72, automatic ones included (§4)."
)
PAPER_CONSISTENCY = "Of masks that two people make, the paper cites an IoU of 85 to 91 % (§5)."


@dataclass(frozen=True)
class PublishedStage:
    """A stage of the paper's data engine with people in it, from its first round to its last (§4).

    Attributes:
        stage: As rounds name it.
        retrainings: Of SAM in it.
        seconds_per_mask: At its beginning and its end; masks that were shown first not counted.
        masks_per_image: The same; automatic ones included.
    """

    stage: str
    retrainings: int
    seconds_per_mask: tuple[float, float]
    masks_per_image: tuple[float, float]


STAGES = (
    PublishedStage("assisted_manual", 6, (34, 14), (20, 44)),
    PublishedStage("semi_automatic", 5, (34, 34), (44, 72)),
)
AGREEMENT = (0.85, 0.91)
"""IoU of the masks that two people make, which the paper cites (§5)."""
