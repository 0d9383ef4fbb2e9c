"""The classical baseline: Felzenszwalb and Huttenlocher's graph-based segmentation (2004) at several scales.

Smoothing, scales, order and duplicates are those of 120 variants, tried on a sample of BSDS500's training images, that
serve the baseline best (docs/evaluation.md).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sa_pipeline.evaluation.overlaps import areas_of, encode_masks, pairwise_ious
from sa_pipeline.evaluation.proposals import Proposal

SCALES: Sequence[float] = (1600, 800, 400, 200)

SIGMA = 0.8
"""px; the smoothing that the method's authors recommend."""

MIN_SHARE = 0.001
"""Of the image; smaller segments are merged into neighbours, as none of that size is looked for."""

DUPLICATE_IOU = 0.8
"""Of two segments that overlap by more, the one of the coarser scale stays."""


def felzenszwalb_proposals(image: npt.NDArray[np.uint8]) -> list[Proposal]:
    """Segments of the image (H, W, 3) uint8 RGB at all scales, without near-duplicates, the largest first."""
    from skimage.segmentation import felzenszwalb

    height, width = image.shape[:2]
    min_size = max(1, round(MIN_SHARE * height * width))
    counts: list[str] = []
    for scale in SCALES:
        labels = felzenszwalb(image, scale=scale, sigma=SIGMA, min_size=min_size)
        found = encode_masks(labels == np.arange(labels.max() + 1)[:, None, None])
        overlaps = pairwise_ious(found, counts, (height, width)).max(axis=1, initial=0.0)
        counts.extend(mask for mask, overlap in zip(found, overlaps, strict=True) if overlap <= DUPLICATE_IOU)
    areas = areas_of(counts)
    order = np.argsort(-areas, kind="stable")
    return [Proposal(counts[i], float(areas[i]), np.nan, np.nan) for i in order]
