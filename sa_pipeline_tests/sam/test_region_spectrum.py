"""Borders between what occurs side by side all over an image count less than borders of whole objects."""

import numpy as np
import numpy.typing as npt
import pytest

from sa_pipeline.sam.region_spectrum import spectral_contrasts

BLOCK, BLOCKS = 8, 12
SIDE = BLOCK * BLOCKS


def blocks() -> npt.NDArray[np.int32]:
    """Superpixels of 8 x 8 px."""
    rows, columns = np.indices((SIDE, SIDE)) // BLOCK
    return np.asarray(rows * BLOCKS + columns, np.int32)


def borders(labels: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """Lengths of the blocks' common borders."""
    count = int(labels.max()) + 1
    lengths = np.zeros((count, count))
    for one, other in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        for pair in ((one, other), (other, one)):
            np.add.at(lengths, (pair[0][one != other], pair[1][one != other]), 1.0)
    return lengths


def contrasts_of(colour: npt.NDArray[np.float32], seed: int = 0) -> npt.NDArray[np.float64]:
    """Of blocks between which no edge was found, so that only what occurs together tells."""
    labels = blocks()
    lengths = borders(labels)
    noise = np.random.default_rng(seed).normal(0, 1.0, colour.shape)
    texture = np.zeros((SIDE, SIDE, 1), np.float32)
    return spectral_contrasts(labels, (colour + noise).astype(np.float32), texture, np.zeros_like(lengths), lengths)


def across_and_within(contrasts: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Mean contrast between the blocks left and right of the middle, and between all other neighbours."""
    touching = borders(blocks()) > 0
    left = np.arange(BLOCKS**2) % BLOCKS < BLOCKS // 2
    across = touching & (left[:, None] != left)
    return float(contrasts[across].mean()), float(contrasts[touching & ~across].mean())


def chequered() -> npt.NDArray[np.float32]:
    """Left 4 px of black and white in turn, right of black and red: the halves share one of two colours."""
    colour = np.zeros((SIDE, SIDE, 3), np.float32)
    odd = np.indices((SIDE, SIDE)).sum(axis=0) // 4 % 2 == 1
    colour[odd] = (100, 0, 0)
    right = odd.copy()
    right[:, : SIDE // 2] = False
    colour[right] = (50, 100, 80)
    return colour


def test_between_two_colours_is_more_contrast_than_within():
    colour = np.zeros((SIDE, SIDE, 3), np.float32)
    colour[:, : SIDE // 2, 0] = 60
    across, within = across_and_within(contrasts_of(colour))
    assert across > 2 * within


def test_the_border_of_two_textures_counts_more_than_the_edges_within_them():
    across, within = across_and_within(contrasts_of(chequered()))
    assert across > 2 * within


def test_neighbours_have_a_contrast_of_about_one_both_ways_and_others_none():
    contrasts = contrasts_of(chequered())
    touching = borders(blocks()) > 0
    np.testing.assert_array_equal(contrasts, contrasts.T)
    assert (contrasts[~touching] == 0).all()
    assert np.isfinite(contrasts).all()
    assert 0.3 < np.sqrt((contrasts[touching] ** 2).mean()) < 1.1


def test_the_same_image_has_the_same_contrasts():
    np.testing.assert_array_equal(contrasts_of(chequered()), contrasts_of(chequered()))


@pytest.mark.parametrize("count", [1, 2, 18])
def test_a_handful_of_superpixels_has_no_contrasts(count: int):
    labels = np.tile(np.arange(count, dtype=np.int32), (10, 1))
    lengths = np.eye(count, k=1) + np.eye(count, k=-1)
    colour, texture = np.zeros((*labels.shape, 3), np.float32), np.zeros((*labels.shape, 1), np.float32)
    assert (spectral_contrasts(labels, colour, texture, np.zeros_like(lengths), lengths) == 0).all()
