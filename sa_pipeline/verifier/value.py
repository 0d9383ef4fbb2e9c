"""What the order of looking is worth: wrong masks found per mask looked at, on images that were not learnt from."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from sa_pipeline.verifier.classifier import Doubts, Wrong, fit
from sa_pipeline.verifier.features import FEATURES, Features

LOOKED_AT = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Shares of all masks."""
FOLDS = 5


class Value(BaseModel):
    """Wrong masks among the first ones looked at, as a share of these, for each share of `LOOKED_AT`.

    Attributes:
        masks: Examples, each scored by a classifier that saw no mask of its image.
        images: That they are on.
        wrong: Wrong ones among the masks; over `masks`, this is what an order by chance finds.
        verifier: The most doubtful first.
        predicted_iou: The lowest predicted IoU first, for comparison.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    masks: int
    images: int
    wrong: int
    verifier: dict[float, float]
    predicted_iou: dict[float, float]

    @property
    def by_chance(self) -> float:
        """Wrong masks per mask looked at, in an order by chance."""
        return self.wrong / self.masks


def measure_value(features: Features, wrong: Wrong, images: Sequence[str]) -> Value:
    """Cross-validates by image: each fifth of the images is scored by a classifier of the others.

    Args:
        features: (N, F).
        wrong: (N,) bool, both kinds among them.
        images: N names, by which images are told apart and drawn into fifths; the same names give the same fifths.
    """
    folds = np.array([int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % FOLDS for name in images])
    doubts: Doubts = np.zeros(len(wrong))
    for fold in range(FOLDS):
        held_out = folds == fold
        doubts[held_out] = fit(features[~held_out], wrong[~held_out]).doubts(features[held_out])
    return Value(
        masks=len(wrong),
        images=len(set(images)),
        wrong=int(wrong.sum()),
        verifier=found_by(doubts, wrong),
        predicted_iou=found_by(-features[:, FEATURES.index("predicted_iou")], wrong),
    )


def found_by(order: npt.NDArray[np.float64], wrong: Wrong) -> dict[float, float]:
    """Wrong masks per mask looked at, for each share of `LOOKED_AT`; the largest of `order` (N,) first."""
    sorted_wrong = wrong[np.argsort(-order, kind="stable")]
    counts = {share: max(1, round(share * len(wrong))) for share in LOOKED_AT}
    return {share: float(sorted_wrong[:count].mean()) for share, count in counts.items()}
