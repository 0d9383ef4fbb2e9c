"""Run lengths and COCO's strings: equal to pycocotools for every mask, and never trusting a string."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from sa_pipeline.masks.rle import (
    RleError,
    area_from_runs,
    box_from_runs,
    counts_to_mask,
    decode_counts,
    encode_counts,
    mask_to_counts,
    mask_to_runs,
    runs_to_mask,
)

Mask = npt.NDArray[np.bool_]


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """Speckles, and the same enlarged so that runs become long and cross columns."""
    small = draw(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)))
    tall, wide = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    return np.kron(small, np.ones((tall, wide), np.bool_))


def coco_rle(mask: Mask) -> dict[str, Any]:
    encoded: dict[str, Any] = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return encoded


def rectangle(height: int, width: int, *boxes: tuple[int, int, int, int]) -> Mask:
    mask = np.zeros((height, width), np.bool_)
    for x0, y0, x1, y1 in boxes:
        mask[y0 : y1 + 1, x0 : x1 + 1] = True
    return mask


@given(masks())
def test_a_mask_is_written_as_pycocotools_writes_it(mask: Mask) -> None:
    assert mask_to_counts(mask) == coco_rle(mask)["counts"].decode()


@given(masks())
def test_a_mask_comes_back_from_text_and_from_bytes(mask: Mask) -> None:
    counts = mask_to_counts(mask)
    assert np.array_equal(counts_to_mask(counts, mask.shape), mask)
    assert np.array_equal(counts_to_mask(counts.encode(), mask.shape), mask)


@given(masks())
def test_the_area_is_read_from_the_runs(mask: Mask) -> None:
    assert area_from_runs(mask_to_runs(mask)) == mask.sum() == coco.area(coco_rle(mask))


@given(masks())
def test_the_box_is_read_from_the_runs(mask: Mask) -> None:
    x0, y0, x1, y1 = box_from_runs(mask_to_runs(mask), mask.shape[0])
    if not mask.any():
        assert (x0, y0, x1, y1) == (0, 0, 0, 0)
    else:
        rows, columns = np.nonzero(mask)
        assert (x0, y0, x1, y1) == (columns.min(), rows.min(), columns.max(), rows.max())
        assert [x0, y0, x1 - x0 + 1, y1 - y0 + 1] == coco.toBbox(coco_rle(mask)).tolist()


@given(hnp.arrays(np.int64, st.integers(0, 60), elements=st.integers(0, 2**33 - 1)))
def test_run_lengths_of_any_size_come_back(runs: npt.NDArray[np.int64]) -> None:
    assert np.array_equal(decode_counts(encode_counts(runs)), runs)


@given(hnp.arrays(np.int64, st.integers(1, 30), elements=st.integers(0, 9)))
def test_runs_of_no_length_in_the_middle_change_nothing(runs: npt.NDArray[np.int64]) -> None:
    if runs.sum() == 0:
        return
    mask = runs_to_mask(runs, (int(runs.sum()), 1))
    assert area_from_runs(runs) == area_from_runs(mask_to_runs(mask))
    assert box_from_runs(runs, mask.shape[0]) == box_from_runs(mask_to_runs(mask), mask.shape[0])


@settings(max_examples=500)
@given(st.one_of(st.text(max_size=30), st.binary(max_size=30), st.text(alphabet="0123OPQno", max_size=30)))
def test_whatever_the_string_either_a_mask_of_that_size_or_an_rle_error_comes_out(
    counts: str | bytes,
) -> None:
    try:
        mask = counts_to_mask(counts, (6, 5))
    except RleError:
        return
    assert mask.shape == (6, 5)
    assert mask.dtype == np.bool_


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ("1 3", "' ' at 1"),
        ("1é3", "'é'"),
        (b"1\xff3", "'ÿ' at 1"),
        ("13P", "ends in the middle"),
        ("PPPPPPP0", "at most 7"),
        ("1O", "-1 pixels"),
        ("133", "add up to 7 pixels"),
        ("", "add up to 0 pixels"),
    ],
)
def test_a_malformed_string_is_refused_with_its_reason(counts: str | bytes, reason: str) -> None:
    with pytest.raises(RleError, match=reason):
        counts_to_mask(counts, (3, 2))


@pytest.mark.parametrize(
    ("mask", "box"),
    [
        (rectangle(5, 7, (2, 1, 4, 3)), (2, 1, 4, 3)),
        (rectangle(5, 7, (0, 0, 6, 4)), (0, 0, 6, 4)),
        (rectangle(5, 7, (6, 4, 6, 4)), (6, 4, 6, 4)),
        (rectangle(5, 7, (0, 4, 0, 4), (1, 0, 1, 0)), (0, 0, 1, 4)),
        (rectangle(5, 7), (0, 0, 0, 0)),
    ],
    ids=["inside", "whole image", "last pixel", "one run over two columns", "empty"],
)
def test_a_box_ends_on_the_last_foreground_pixel(mask: Mask, box: tuple[int, int, int, int]) -> None:
    assert box_from_runs(mask_to_runs(mask), 5) == box


def test_only_bool_arrays_of_two_dimensions_are_masks() -> None:
    for array in (np.zeros((3, 2), np.uint8), np.zeros((1, 3, 2), np.bool_), np.zeros((0, 2), np.bool_)):
        with pytest.raises(RleError, match="bool array of shape"):
            mask_to_runs(array)  # type: ignore[arg-type]


def test_negative_run_lengths_are_not_written() -> None:
    with pytest.raises(RleError, match="0 to 2"):
        encode_counts(np.array([1, -1]))
