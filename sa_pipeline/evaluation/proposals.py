"""Proposals of one image: the automatic stage's masks, best first, and those of a classical method beside them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from segment_anything.modeling import Sam

from sa_pipeline.generation.candidates import propose_masks
from sa_pipeline.generation.deduplication import deduplicate_masks, exported_rows
from sa_pipeline.generation.verdicts import judge_candidates
from sa_pipeline.settings import MaskSettings


@dataclass(frozen=True)
class Proposal:
    """A mask (COCO compressed run lengths) with what it is ranked by; NaN for what its method does not know."""

    counts: str
    score: float
    predicted_iou: float
    stability_score: float


def sam_proposals(
    image: npt.NDArray[np.uint8], sam: Sam, settings: MaskSettings, embedding: torch.Tensor | None = None
) -> list[Proposal]:
    """The automatic stage's masks, ranked by predicted IoU x stability score.

    Args:
        image: (H, W, 3) uint8 RGB.
        sam: The model.
        settings: Grid, thresholds, suppression.
        embedding: (1, C, h, w) of the image, if it was computed before.
    """
    candidates = propose_masks(image, sam, settings, embedding=embedding).candidates
    rows = exported_rows(deduplicate_masks(candidates, judge_candidates(candidates, settings), settings))
    scores = np.nan_to_num([row["predicted_iou"] * row["stability_score"] for row in rows])
    order = np.argsort(-scores, kind="stable")
    return [
        Proposal(rows[i]["counts"], float(scores[i]), rows[i]["predicted_iou"], rows[i]["stability_score"])
        for i in order
    ]
