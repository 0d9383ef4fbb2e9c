"""How complex the shape of a mask is (paper §5, "Mask properties", and Figure 6, right)."""

import cv2
import numpy as np
import numpy.typing as npt


def concavity(mask: npt.NDArray[np.bool_]) -> float:
    """1 minus the mask's area over the area of its convex hull (paper §5).

    The hull is that of the pixels' corners, not of their centres, so that it never is smaller than the mask and a
    rectangle has exactly 0.

    Args:
        mask: shape (H, W), bool, with at least one foreground pixel.

    Returns:
        0 (convex) up to, but not including, 1.

    Raises:
        ValueError: The mask has no foreground pixel.

    Example:
        >>> round(concavity(np.array([[True, False], [True, True]])), 3)
        0.143
    """
    lines = np.flatnonzero(mask.any(axis=1))
    if lines.size == 0:
        raise ValueError("A mask without a foreground pixel has no shape.")
    within = mask[lines]
    left = within.argmax(axis=1)
    right = mask.shape[1] - within[:, ::-1].argmax(axis=1)
    corners = [np.stack([side, lines + edge], axis=1) for side in (left, right) for edge in (0, 1)]
    points = np.concatenate(corners).astype(np.int32)
    hull = float(cv2.contourArea(cv2.convexHull(points)))
    return 1.0 - int(mask.sum()) / hull
