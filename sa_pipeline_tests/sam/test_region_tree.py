"""Merging superpixels finds what differs from its surroundings."""

import numpy as np
import pytest
import skimage.data

from sa_pipeline.sam.region_tree import build_region_tree


def test_two_colours_are_two_regions_of_the_longest_life():
    image = np.full((80, 120, 3), (200, 60, 40), np.uint8)
    image[20:60, 30:80] = (30, 80, 200)
    tree = build_region_tree(image, superpixels=60)
    wanted = (image == (30, 80, 200)).all(axis=2)
    order = np.argsort(-tree.lifetimes)[:3]
    overlaps = [
        (mask & wanted).sum() / (mask | wanted).sum() for mask in (tree.members()[i][tree.superpixels] for i in order)
    ]
    assert max(overlaps) > 0.9


def test_a_region_tree_ends_in_one_region_that_is_the_whole_image():
    tree = build_region_tree(skimage.data.chelsea()[:120, :160], superpixels=80)
    members = tree.members()
    assert members.shape == (2 * tree.leaves - 1, tree.leaves)
    assert members[-1].all()
    assert tree.parents[-1] == -1
    assert tree.areas[-1] == 120 * 160
    assert (tree.lifetimes >= 0).all()


def test_a_region_has_its_childrens_superpixels_and_area_and_lasts_until_it_is_merged():
    tree = build_region_tree(skimage.data.chelsea()[:120, :160], superpixels=80)
    members = tree.members()
    for region in range(tree.leaves, len(tree.parents)):
        first, second = np.flatnonzero(tree.parents == region)
        np.testing.assert_array_equal(members[region], members[first] | members[second])
        assert not (members[first] & members[second]).any()
        assert tree.areas[region] == tree.areas[first] + tree.areas[second]
        assert tree.ends[region] >= tree.ends[first]


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 2), (5, 5), (33, 7)])
def test_odd_shapes_have_a_tree(shape: tuple[int, int]):
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    tree = build_region_tree(image)
    assert tree.areas[-1] == shape[0] * shape[1]
    assert (tree.superpixels >= 0).all()
