"""Clean-up of masks: small holes filled, small islands removed."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class CleanMask:
    """A mask after clean-up.

    Attributes:
        mask: (H, W) bool.
        hole_area_filled: px that were added.
        island_area_removed: px that were taken away.
        largest_component_is_small: Whether even the largest component is below the area, so that the paper drops the
            mask.
    """

    mask: npt.NDArray[np.bool_]
    hole_area_filled: int
    island_area_removed: int
    largest_component_is_small: bool

    @property
    def changed(self) -> bool:
        """Whether any pixel differs from the mask before."""
        return self.hole_area_filled > 0 or self.island_area_removed > 0


def clean_mask(mask: npt.NDArray[np.bool_], min_area: int) -> CleanMask:
    """Fills holes and then removes islands below `min_area` px, 8-connected (paper, Appendix B, "Postprocessing").

    The largest island always stays, as in `segment_anything`; the paper drops such a mask, which the result tells.

    Args:
        mask: (H, W) bool.
        min_area: px.
    """
    filled, hole_area = _fill_small_holes(mask, min_area)
    labels, areas = _components(filled)
    small = areas < min_area
    if not small.any():
        return CleanMask(filled, hole_area, 0, False)
    keep = ~small
    if not keep.any():
        keep[int(np.argmax(areas))] = True
    cleaned = np.concatenate(([False], keep))[labels]
    return CleanMask(cleaned, hole_area, int(areas[~keep].sum()), bool(small.all()))


def _fill_small_holes(mask: npt.NDArray[np.bool_], min_area: int) -> tuple[npt.NDArray[np.bool_], int]:
    labels, areas = _components(~mask)
    small = areas < min_area
    if not small.any():
        return mask, 0
    return np.concatenate(([True], small))[labels], int(areas[small].sum())


def _components(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Labels (H, W), 0 outside the mask, and the areas (K,) of labels 1 to K."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return np.asarray(labels, np.int32), statistics[1:, cv2.CC_STAT_AREA].astype(np.int64)
