"""Codes that a scalar product tells regions from each other by.

Each pixel gets a code and each region a query, a few numbers each, such that a region's query multiplied with a pixel's
code is above 0 if and only if the pixel lies in the region. Regions of a tree need few numbers for that: along a
traversal of the tree each of them is an interval, and intervals of a circle are told by sine and cosine alone.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from sa_pipeline.compiled import compiled

CODE_LENGTH = 8

WAVES = (1, 3, 8, 21)
"""Turns of the codes' pairs along the traversal, where the search begins."""

STEPS, STEP_SIZE, DECAYS = 100, 0.1, (0.9, 0.99)
"""Of the search (Adam, Kingma and Ba 2015) for codes and queries, whose steps become shorter and shorter."""

MARGIN = 0.07
"""The product that is asked for, of a code and a query of length 1. More of it gives up small regions for large."""

SHARE_EXPONENT = 0.8
"""What a part counts in a region's loss: its area as a share of the region's, to this power."""


def separating_codes(
    members: npt.NDArray[np.bool_],
    areas: npt.NDArray[np.float64],
    places: npt.NDArray[np.float64],
    importance: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Finds codes for the parts of an image and queries for its regions.

    Args:
        members: (R, A) bool, which parts each region consists of; none is empty.
        areas: (A,) of the parts in px.
        places: (A,) 0 to 1, along a traversal of the tree in which each region is an interval.
        importance: (R,) above 0, what an error in a region counts.

    Returns:
        Codes (A, 8) float32 and queries (R, 9) float32, each of length 1. `queries[:, :8] @ codes.T + queries[:, 8:]`
        is above 0 for members: for some hundred regions of a photograph, next to nothing of their area is told
        wrongly.
    """
    sizes = (members * areas).sum(axis=1)
    shares = np.minimum(areas / sizes[:, None], 1.0) ** SHARE_EXPONENT + 1e-4
    weights = (shares * (importance / importance.mean())[:, None]).astype(np.float32)
    wanted = np.where(members, np.float32(1), np.float32(-1))
    turns = 2.0 * np.pi * places[:, None] * np.array(WAVES)
    codes = np.stack([np.cos(turns), np.sin(turns)], axis=2).reshape(len(areas), -1) / math.sqrt(len(WAVES))
    queries = _fitting_queries(codes, members)
    return _search(codes.astype(np.float32), queries.astype(np.float32), wanted, weights)


def _fitting_queries(codes: npt.NDArray[np.float64], members: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Of least squares, towards 1 for members and -1 for others."""
    extended = np.concatenate([codes, np.ones((len(codes), 1))], axis=1)
    products = extended.T @ extended + 1e-6 * np.eye(extended.shape[1])
    queries = np.linalg.solve(products, extended.T @ np.where(members.T, 1.0, -1.0)).T
    return np.asarray(queries / np.linalg.norm(queries, axis=1, keepdims=True))


def _slope_of(query: Any, across: Any, wanted: Any, weights: Any, row: Any, query_slope: Any, slopes: Any) -> None:
    """Gradient of one region's loss: sets `query_slope`, adds to `slopes` of the codes; plain loops become SIMD."""
    length, parts = across.shape
    for part in range(parts):
        row[part] = query[length]
    for number in range(length):
        factor = query[number]
        for part in range(parts):
            row[part] += factor * across[number, part]
    total = np.float32(0)
    for part in range(parts):
        missing = max(np.float32(MARGIN) - row[part] * wanted[part], np.float32(0))
        row[part] = -weights[part] * wanted[part] * missing
        total += row[part]
    query_slope[length] = total
    along = total * query[length]
    for number in range(length):
        factor = query[number]
        total = np.float32(0)
        for part in range(parts):
            total += row[part] * across[number, part]
            slopes[number, part] += factor * row[part]
        query_slope[number] = total
        along += total * factor
    for number in range(length + 1):
        query_slope[number] -= along * query[number]


_slope_of = compiled(_slope_of, fastmath=True)


def _search(codes: Any, queries: Any, wanted: Any, weights: Any) -> Any:
    """Adam on the weighted squared hinge loss of all products, on the two spheres."""
    across = np.ascontiguousarray(codes.T)
    slopes = np.empty_like(across)
    row = np.empty(len(codes), np.float32)
    query_slopes = np.empty_like(queries)
    code_moments, query_moments = np.zeros((2, *across.shape), np.float32), np.zeros((2, *queries.shape), np.float32)
    for step in range(STEPS):
        slopes[:] = 0.0
        for region in range(len(queries)):
            _slope_of(queries[region], across, wanted[region], weights[region], row, query_slopes[region], slopes)
        slopes -= (slopes * across).sum(axis=0) * across
        size = np.float32(STEP_SIZE * (1.05 - step / STEPS))
        _descend(across, slopes, code_moments, size, step + 1)
        _descend(queries, query_slopes, query_moments, size, step + 1)
        across /= np.sqrt((across * across).sum(axis=0))
        for region in range(len(queries)):
            queries[region] /= np.sqrt((queries[region] * queries[region]).sum())
    return np.ascontiguousarray(across.T), queries


def _descend(vectors: Any, gradient: Any, moments: Any, size: Any, step: int) -> None:
    first, second = np.float32(DECAYS[0]), np.float32(DECAYS[1])
    one, two = np.float32(1.0 - DECAYS[0] ** step), np.float32(1.0 - DECAYS[1] ** step)
    for row in range(vectors.shape[0]):
        for column in range(vectors.shape[1]):
            slope = gradient[row, column]
            mean = first * moments[0, row, column] + (np.float32(1) - first) * slope
            square = second * moments[1, row, column] + (np.float32(1) - second) * slope * slope
            moments[0, row, column], moments[1, row, column] = mean, square
            vectors[row, column] -= size * (mean / one) / (np.sqrt(square / two) + np.float32(1e-12))


_descend = compiled(_descend, fastmath=True)
_search = compiled(_search, fastmath=True)
