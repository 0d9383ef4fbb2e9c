"""One product of a code and a query tells whether a part of an image lies in a region."""

import numpy as np
import numpy.typing as npt
import pytest
import skimage.data

from sa_pipeline.sam.region_codes import CODE_LENGTH, separating_codes
from sa_pipeline.sam.region_tree import build_region_tree


def mistaken(
    members: npt.NDArray[np.bool_], areas: npt.NDArray[np.float64], places: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Of each region the area that is told wrongly, as a part of the region's own."""
    codes, queries = separating_codes(members, areas, places, np.ones(len(members)))
    assert codes.shape == (len(areas), CODE_LENGTH)
    assert queries.shape == (len(members), CODE_LENGTH + 1)
    for vectors in (codes, queries):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    told = queries[:, :CODE_LENGTH] @ codes.T + queries[:, CODE_LENGTH:] > 0
    return np.asarray(((told != members) @ areas) / (members @ areas))


def halves(parts: int) -> npt.NDArray[np.bool_]:
    """All parts, their halves, the halves' halves, and so on."""
    sizes = [2**power for power in range(parts.bit_length())]
    return np.array([np.arange(parts) // size == place for size in sizes for place in range(parts // size)])


def onions(parts: int) -> npt.NDArray[np.bool_]:
    """One part, two, three, and so on."""
    return np.tri(parts, dtype=np.bool_)


@pytest.mark.parametrize("parts", [1, 2, 16, 64])
@pytest.mark.parametrize("tree", [halves, onions])
def test_no_part_of_a_small_tree_is_told_wrongly(tree, parts: int):
    areas = np.random.default_rng(parts).uniform(10, 1000, parts)
    places = (np.cumsum(areas) - areas / 2) / areas.sum()
    assert mistaken(tree(parts), areas, places).max() == 0.0


@pytest.mark.parametrize("photograph", ["chelsea", "coffee", "astronaut"])
def test_of_a_photographs_regions_all_but_a_hundredth_of_the_area_is_told_rightly(photograph: str):
    tree = build_region_tree(getattr(skimage.data, photograph)())
    # Children follow each other: along such a traversal each region is an interval.
    places = np.zeros(len(tree.parents))
    used = np.zeros(len(tree.parents))
    for region in range(len(tree.parents) - 2, -1, -1):
        parent = tree.parents[region]
        places[region] = places[parent] + used[parent]
        used[parent] += tree.areas[region]
    areas = tree.areas[: tree.leaves]
    middles = (places[: tree.leaves] + areas / 2) / tree.areas[-1]
    shares = tree.areas / tree.areas[-1]

    large = tree.members()[(shares > 0.01) & (shares < 0.9)]
    assert len(large) > 100
    assert mistaken(large, areas, middles).max() < 0.01

    all_but_tiny = tree.members()[(shares > 0.002) & (shares < 0.9)]
    assert len(all_but_tiny) > 500
    assert mistaken(all_but_tiny, areas, middles).mean() < 0.01


def test_the_same_tree_has_the_same_codes():
    areas, places = np.ones(16), (np.arange(16) + 0.5) / 16
    first, second = (separating_codes(halves(16), areas, places, np.ones(31)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
