"""Measuring many strings at once gives what decoding each gives, and calls unsound exactly what decoding refuses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sa_pipeline.masks.many_rles import measure_masks
from sa_pipeline.masks.rle import RleError, area_from_runs, box_from_runs, check_runs, decode_counts, mask_to_counts

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def decoded(counts: str, size: tuple[int, int]) -> tuple[int, list[int]] | None:
    try:
        runs = decode_counts(counts)
        check_runs(runs, size)
    except RleError:
        return None
    left, top, right, bottom = box_from_runs(runs, size[0])
    return area_from_runs(runs), [left, top, right - left, bottom - top]


def measured(counts: list[str], sizes: list[tuple[int, int]]) -> list[tuple[int, list[int]] | None]:
    found = measure_masks(counts, sizes)
    rows = zip(found.sound.tolist(), found.areas.tolist(), found.boxes.tolist(), strict=True)
    return [(area, box) if sound else None for sound, area, box in rows]


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    size = draw(SIZES)
    density = draw(st.sampled_from([0.0, 0.02, 0.5, 0.98, 1.0]))
    return np.random.default_rng(draw(st.integers(0, 2**32))).random(size) < density


@settings(max_examples=200, deadline=None)
@given(st.lists(masks(), max_size=5))
def test_areas_and_boxes_are_those_of_each_mask_by_itself(drawn: list[np.ndarray]) -> None:
    counts, sizes = [mask_to_counts(mask) for mask in drawn], [mask.shape for mask in drawn]
    expected = [decoded(*pair) for pair in zip(counts, sizes, strict=True)]
    assert None not in expected
    assert measured(counts, sizes) == expected


@settings(max_examples=500, deadline=None)
@given(masks(), st.data())
def test_a_changed_character_is_unsound_or_measured_as_decoded(mask: np.ndarray, data: st.DataObject) -> None:
    counts = list(mask_to_counts(mask))
    place = data.draw(st.integers(0, len(counts) - 1))
    counts[place] = data.draw(st.characters(min_codepoint=1, max_codepoint=300) | st.sampled_from("0123OPQRSTnop"))
    changed = "".join(counts)
    assert measured([changed], [mask.shape]) == [decoded(changed, mask.shape)]


@pytest.mark.parametrize("counts", ["", "13", "o", "PPPPPPPPPPPPPPPPPPPP0", "\u00e9", "1 2", "0", "NNN", "06N6"])
def test_strings_that_decode_to_no_mask_are_unsound(counts: str) -> None:
    whole = mask_to_counts(np.ones((3, 4), np.bool_))
    assert measured([whole, counts, whole], [(3, 4)] * 3) == [
        (12, [0, 0, 3, 2]),
        decoded(counts, (3, 4)),
        (12, [0, 0, 3, 2]),
    ]
    assert decoded(counts, (3, 4)) is None
