"""Run-length encoded masks: COCO's compressed strings, run lengths and boolean arrays, each from the other.

A mask of H x W pixels is read column by column (COCO's order). Its *runs* are the lengths of its alternating
stretches of background and foreground, beginning with background: a mask whose first pixel is foreground
begins with a run of 0. Its *counts* are these runs as the printable string that pycocotools writes.
"""

import numpy as np
import numpy.typing as npt

from sa_pipeline.errors import SaPipelineError

Runs = npt.NDArray[np.int64]

# The string holds 5 bits a character, lowest first, from the character '0' upwards; the sixth bit says that
# the number goes on. Seven characters make a signed number of 35 bits: more than any picture has pixels.
_BITS = 5
_PAYLOAD = 0b011111
_SIGN = 0b010000
_MORE = 0b100000
_ZERO = ord("0")
_LONGEST = 7


class RleError(SaPipelineError):
    """A run-length encoding that describes no mask."""


def decode_counts(counts: str | bytes) -> Runs:
    """Read COCO's compressed string into run lengths.

    Args:
        counts: the string that pycocotools calls `counts`; text or ASCII bytes.

    Returns:
        Run lengths in pixels, shape (R,), int64, none negative, background first.

    Raises:
        RleError: where the string has characters outside COCO's alphabet, ends within a number, holds a number
            too long for a picture, or yields a negative length.

    Example:
        >>> decode_counts("132").tolist()
        [1, 3, 2]
    """
    codes = _codes(counts)
    if codes.size == 0:
        return np.zeros(0, np.int64)
    is_last = (codes & _MORE) == 0
    if not is_last[-1]:
        raise RleError(f"The RLE string of {codes.size} characters ends in the middle of a number: it was cut off.")
    ends = np.flatnonzero(is_last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > _LONGEST:
        raise RleError(
            f"The RLE string holds a number of {lengths.max()} characters; a run length has at most {_LONGEST}."
        )
    shifts = _BITS * (np.arange(codes.size) - np.repeat(starts, lengths))
    values = np.add.reduceat((codes & _PAYLOAD) << shifts, starts)
    values -= np.where(codes[ends] & _SIGN, np.int64(1) << (_BITS * lengths), 0)
    runs = _undo_differences(values)
    if runs.min() < 0:
        raise RleError(f"The RLE string yields a run of {runs.min()} pixels; lengths cannot be negative.")
    return runs


def encode_counts(runs: Runs) -> str:
    """Write run lengths as COCO's compressed string, character for character as pycocotools does.

    Args:
        runs: lengths in pixels, shape (R,), integers of at least 0 and less than 2**33, background first.

    Raises:
        RleError: where a length is out of that range.

    Example:
        >>> encode_counts(np.array([1, 3, 2]))
        '132'
    """
    runs = np.asarray(runs, dtype=np.int64)
    if runs.size == 0:
        return ""
    if runs.min() < 0 or runs.max() >= 2**33:
        raise RleError(f"Run lengths lie between {runs.min()} and {runs.max()}; expected 0 to 2**33 - 1.")
    values = runs.copy()
    values[3:] -= runs[1:-2]
    magnitude = np.where(values < 0, ~values, values)
    columns = np.arange(_LONGEST)
    limits = np.int64(1) << (_BITS * columns + _BITS - 1)
    lengths = 1 + (magnitude[:, None] >= limits[:-1]).sum(axis=1)
    codes = (values[:, None] >> (_BITS * columns)) & _PAYLOAD
    codes |= np.where(columns < lengths[:, None] - 1, _MORE, 0)
    written = (codes[columns < lengths[:, None]] + _ZERO).astype(np.uint8)
    return bytes(written).decode("ascii")


def mask_to_runs(mask: npt.NDArray[np.bool_]) -> Runs:
    """Run lengths of a mask.

    Args:
        mask: shape (H, W), bool, with at least one pixel.

    Returns:
        Shape (R,), int64, background first; the sum is H * W.

    Raises:
        RleError: where the array is not two-dimensional, not bool, or empty.

    Example:
        >>> mask_to_runs(np.array([[False, True], [True, True]])).tolist()
        [1, 3]
    """
    if mask.ndim != 2 or mask.dtype != np.bool_ or mask.size == 0:
        raise RleError(f"A mask is a bool array of shape (H, W) with pixels; got {mask.dtype} of shape {mask.shape}.")
    pixels = mask.ravel(order="F")
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    edges = [0, 0] if pixels[0] else [0]
    return np.diff(np.concatenate((edges, changes, [pixels.size]))).astype(np.int64, copy=False)


def runs_to_mask(runs: Runs, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The mask that run lengths describe.

    Args:
        runs: shape (R,), int64, background first.
        size: (H, W) in pixels, as SA-1B's `size`.

    Returns:
        Shape (H, W), bool, in Fortran (column-major) memory order, as pycocotools' own.

    Raises:
        RleError: where the runs do not add up to H * W.
    """
    check_runs(runs, size)
    height, width = size
    values = np.arange(runs.size) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def check_runs(runs: Runs, size: tuple[int, int]) -> None:
    """Raise RleError unless the runs, shape (R,), cover exactly the (H, W) pixels of `size`."""
    height, width = size
    if int(runs.sum()) != height * width:
        raise RleError(
            f"The runs add up to {int(runs.sum())} pixels; an image of height {height} and width {width} "
            f"has {height * width}."
        )


def mask_to_counts(mask: npt.NDArray[np.bool_]) -> str:
    """COCO's compressed string of a mask of shape (H, W), bool; raises as `mask_to_runs` does."""
    return encode_counts(mask_to_runs(mask))


def counts_to_mask(counts: str | bytes, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The mask, shape (H, W), bool, column-major, of COCO's compressed string; `size` is (H, W).

    Raises:
        RleError: where the string is malformed or does not cover exactly H * W pixels.
    """
    return runs_to_mask(decode_counts(counts), size)


def area_from_runs(runs: Runs) -> int:
    """Number of foreground pixels of the runs, shape (R,), background first."""
    return int(runs[1::2].sum())


def box_from_runs(runs: Runs, height: int) -> tuple[int, int, int, int]:
    """Box of the foreground, without decoding the mask.

    Args:
        runs: shape (R,), int64, background first.
        height: H, rows of the image in pixels.

    Returns:
        XYXY, both ends inclusive: the columns and rows of the first and last foreground pixels, as
        `segment_anything` has it (pycocotools' `toBbox` counts width and height one more). A mask without
        foreground gives (0, 0, 0, 0), also as there.

    Example:
        >>> box_from_runs(np.array([1, 3]), height=2)
        (0, 0, 1, 1)
    """
    stops = np.cumsum(runs)[1::2]
    lengths = runs[1::2]
    painted = lengths > 0
    if not painted.any():
        return (0, 0, 0, 0)
    last = stops[painted] - 1
    first = last - lengths[painted] + 1
    left, right = int(first[0]) // height, int(last[-1]) // height
    if np.any(first // height != last // height):
        # A run that goes on in the next column holds the bottom row of one and the top row of the other.
        return (left, 0, right, height - 1)
    return (left, int((first % height).min()), right, int((last % height).max()))


def _codes(counts: str | bytes) -> Runs:
    """Six-bit codes of the characters, shape (C,), int64."""
    try:
        raw = counts.encode("ascii") if isinstance(counts, str) else counts
    except UnicodeEncodeError as error:
        raise RleError(f"The RLE string holds {counts[error.start]!r}, which COCO's alphabet lacks.") from None
    codes = np.frombuffer(raw, np.uint8).astype(np.int64) - _ZERO
    strange = np.flatnonzero((codes < 0) | (codes >= 2 * _MORE))
    if strange.size:
        character = chr(raw[strange[0]])
        raise RleError(f"The RLE string holds {character!r} at {strange[0]}, which COCO's alphabet lacks.")
    return codes


def _undo_differences(values: Runs) -> Runs:
    """From the fourth number on, COCO writes the difference to the length two before."""
    runs = values.copy()
    runs[1::2] = np.cumsum(values[1::2])
    runs[2::2] = np.cumsum(values[2::2])
    return runs
