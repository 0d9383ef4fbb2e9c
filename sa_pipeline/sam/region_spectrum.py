"""Which borders between superpixels matter in the image as a whole.

What occurs side by side all over an image, such as the colours of one texture, belongs together however much it differs
(pointwise mutual information; Isola et al. 2014, "Crisp boundary detection using pointwise mutual information"). The
image's first normalised cuts by that affinity (Shi and Malik 2000) tell borders of whole objects from those within
(Arbeláez et al. 2011, section 3.2).
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import scipy.sparse
import scipy.sparse.linalg

from sa_pipeline.compiled import compiled

CHANNEL_SIGMA, TEXTURE_SIGMA, TEXTURE_WEIGHT = 1.0, 2.0, 6.0
"""Smoothing of colour and of texture, px, and what the logarithm of texture counts against colour."""

KINDS, SPLITS, SAMPLES, ROUNDS = 64, 6, 4096, 8
"""Kinds of pixels that are told apart, 2 to the power of the splits; pixels that they are found from; rounds of
k-means."""

DISTANCES = (3, 7)
"""Between two pixels that count as side by side, px."""

LIKENESS = 4.0
"""Of kinds whose occurrences also count for each other: standard deviation of the distance."""

JOINT_EXPONENT = 1.25
"""Of the probability to occur together: how much is made of rare pairs against frequent ones (Isola et al.)."""

LEAST_PROBABILITY = 1e-4
ALIKE_PERCENTILE, LEAST_AFFINITY = 95.0, -12.0
"""Pairs of superpixels from this percentile on count as fully alike; logarithm of the least affinity."""

EDGE_SCALE = 6.0
CUTS = 16


def spectral_contrasts(
    labels: npt.NDArray[np.int32],
    colour: npt.NDArray[np.float32],
    texture: npt.NDArray[np.float32],
    strengths: npt.NDArray[np.float64],
    lengths: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """How differently neighbouring superpixels lie in the first normalised cuts of an image.

    Args:
        labels: (H, W) int32, 0 to S - 1.
        colour: (H, W, 3) float32.
        texture: (H, W, T) float32, 0 or more.
        strengths: (S, S) float64, summed edge strength along each common border.
        lengths: (S, S) float64, its length in px; 0 for superpixels that do not touch.

    Returns:
        (S, S) float64, 0 for superpixels that do not touch; the squares of the others' have a mean of roughly 1.
    """
    count = len(lengths)
    contrasts = np.zeros_like(lengths)
    ones, others = np.nonzero(np.triu(lengths, 1))
    if count <= CUTS + 2:
        return contrasts
    kinds, centres = _kinds(colour, texture)
    information = _mutual_information(kinds, centres)
    counts = np.bincount(labels.ravel().astype(np.int64) * KINDS + kinds.ravel(), minlength=count * KINDS)
    shares = counts.reshape(count, KINDS) / np.maximum(counts.reshape(count, KINDS).sum(axis=1, keepdims=True), 1)
    mutual = np.einsum("pk,pk->p", shares[ones] @ information, shares[others])
    likeness = np.clip(mutual - np.percentile(mutual, ALIKE_PERCENTILE), LEAST_AFFINITY, 0.0)
    lengths_between = lengths[ones, others]
    edges = strengths[ones, others] / lengths_between
    affinities = np.exp(likeness - edges / EDGE_SCALE) * lengths_between + 1e-6
    values, vectors = _cuts(count, ones, others, affinities)
    differences = (np.abs(vectors[ones] - vectors[others]) / np.sqrt(values + 1e-6)).sum(axis=1)
    contrasts[ones, others] = np.sqrt(differences / np.sqrt(np.mean(differences**2)))
    return contrasts + contrasts.T


def _kinds(
    colour: npt.NDArray[np.float32], texture: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The kind of each pixel (H, W), and the kinds' colour and texture (`KINDS`, 4): k-means from a median cut."""
    energy = np.log1p(cv2.GaussianBlur(texture.sum(axis=-1), (0, 0), TEXTURE_SIGMA)) * TEXTURE_WEIGHT
    smooth = cv2.GaussianBlur(colour, (0, 0), CHANNEL_SIGMA)
    pixels = np.concatenate([smooth, energy[..., None]], axis=-1, dtype=np.float32).reshape(-1, 4)
    samples = pixels[np.linspace(0, len(pixels) - 1, SAMPLES).astype(np.int64)]
    centres = _median_cut(samples)
    for _ in range(ROUNDS):
        nearest = _nearest(samples, centres)
        counts = np.bincount(nearest, minlength=KINDS)
        sums = np.stack([np.bincount(nearest, samples[:, c], minlength=KINDS) for c in range(4)], axis=1)
        centres = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres).astype(np.float32)
    return _nearest(pixels, centres).reshape(colour.shape[:2]), centres


def _median_cut(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Middles of `KINDS` equally large groups, split again and again where they are widest (Heckbert 1982)."""
    groups = [samples]
    for _ in range(SPLITS):
        halves = []
        for group in groups:
            order = np.argsort(group[:, np.argmax(np.ptp(group, axis=0))], kind="stable")
            halves += [group[order[: len(order) // 2]], group[order[len(order) // 2 :]]]
        groups = halves
    return np.stack([group.mean(axis=0) for group in groups])


def _search(pixels: Any, centres: Any, squares: Any) -> Any:
    nearest = np.empty(len(pixels), np.int64)
    distances = np.empty(len(squares), np.float32)
    for pixel in range(len(pixels)):
        distances[:] = squares
        for channel in range(pixels.shape[1]):
            for centre in range(len(squares)):
                distances[centre] -= pixels[pixel, channel] * centres[channel, centre]
        nearest[pixel] = np.argmin(distances)
    return nearest


_search = compiled(_search)


def _nearest(pixels: npt.NDArray[np.float32], centres: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    squares = (centres**2).sum(axis=1) / np.float32(2)
    return np.asarray(_search(pixels, np.ascontiguousarray(centres.T), squares), np.int64)


def _mutual_information(kinds: npt.NDArray[np.int64], centres: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Of each two kinds how much more often they occur side by side than by chance, (`KINDS`, `KINDS`) logarithms."""
    height, width = kinds.shape
    together = np.zeros((KINDS, KINDS))
    for distance in DISTANCES:
        diagonal = int(0.7 * distance)
        for down, right in ((0, distance), (distance, 0), (diagonal, diagonal), (diagonal, -diagonal)):
            one = kinds[: max(height - down, 0), max(0, -right) : max(width - max(0, right), 0)]
            other = kinds[down:, max(0, right) : max(width + min(0, right), 0)]
            pairs = np.bincount((one * KINDS + other).ravel(), minlength=KINDS**2)
            together += pairs.reshape(KINDS, KINDS)
    together += together.T
    distances = ((centres[:, None] - centres) ** 2).sum(axis=-1)
    spread = np.exp(-distances / (2.0 * LIKENESS**2))
    spread /= spread.sum(axis=1, keepdims=True)
    joint = spread.T @ together @ spread
    joint /= max(joint.sum(), 1.0)
    each = np.log(joint.sum(axis=1) + LEAST_PROBABILITY)
    return np.asarray(JOINT_EXPONENT * np.log(joint + LEAST_PROBABILITY**2) - each[:, None] - each)


def _cuts(
    count: int, ones: npt.NDArray[np.int64], others: npt.NDArray[np.int64], affinities: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Eigenvalues (`CUTS`,) and vectors (S, `CUTS`) of the normalised cuts, each vector of mean square 1."""
    places = (np.concatenate([ones, others]), np.concatenate([others, ones]))
    weights = scipy.sparse.coo_array((np.tile(affinities, 2), places), shape=(count, count)).tocsr()
    roots = np.sqrt(weights.sum(axis=1))
    scale = scipy.sparse.diags_array(1.0 / roots)
    laplacian = scipy.sparse.eye_array(count) - scale @ weights @ scale
    # Near 0, and below all eigenvalues; the start decides about signs only, and makes runs equal.
    values, vectors = scipy.sparse.linalg.eigsh(
        laplacian.tocsc(), k=CUTS + 1, sigma=-1e-3, tol=1e-4, v0=np.linspace(1.0, 2.0, count)
    )
    order = np.argsort(values)[1:]
    vectors = vectors[:, order] / roots[:, None]
    return np.maximum(values[order], 0.0), vectors / np.sqrt((vectors**2).mean(axis=0))
