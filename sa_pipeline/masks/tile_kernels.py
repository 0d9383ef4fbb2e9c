"""The compiled part of `measurement`: tiles of a mask evaluated, compared and read column by column.

Axis tables travel as the tuple (lower, upper, weights of the first step, lower, upper, weights of the second, edges);
`lines_first` says of either step how it adds up.
numba compiles these functions when they are first called and keeps the result for later processes.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.extending import intrinsic

from sa_pipeline.compiled import compiled

ROUNDING = np.float32(2e-6)
"""Share of the largest logit by which rounding can carry an interpolated value past the logits around it."""

NUMBERS = 8
"""Box, the three areas and the number of transitions: the row that `measure_batch` writes for a mask."""

BYTE = np.uint64(0xFF)
EIGHT = 8


def _helper(function: Callable[..., Any]) -> Any:
    """Compiled without an entry from Python, of which the compiler makes half of its work."""
    return compiled(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


@intrinsic
def _fma(_typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Product of a and b, plus c, rounded once."""
    float32 = numba.types.float32

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return float32(float32, float32, float32), generate


@_helper
def _span(axis, first, last):
    """First and last px of the model's input, and first and last logit, that px first to last - 1 depend on."""
    start, stop = axis[3][first], axis[4][last - 1]
    return start, stop, axis[0][start], axis[1][stop]


@_helper
def _extents(axis):
    """The most px, px of the model's input, and logits that any tile of the axis needs."""
    pixels, inputs, cells = 0, 0, 0
    edges = axis[6]
    for k in range(len(edges) - 1):
        start, stop, first, last = _span(axis, edges[k], edges[k + 1])
        pixels = max(pixels, edges[k + 1] - edges[k])
        inputs = max(inputs, stop - start + 1)
        cells = max(cells, last - first + 1)
    return pixels, inputs, cells


@_helper
def _scratch(rows, columns):
    """Room for one tile.

    The logits to the left and to the right of each column of the model's input; that input; its px to the left and to
    the right of each column of the image; one line of the image.
    """
    _, inputs_down, cells_down = _extents(rows)
    pixels_across, inputs_across, _ = _extents(columns)
    return (
        np.empty((2, cells_down, inputs_across), np.float32),
        np.empty((inputs_down, inputs_across), np.float32),
        np.empty((2, inputs_down, pixels_across), np.float32),
        np.empty(pixels_across, np.float32),
    )


@_helper
def _strip_tables(columns, left, right):
    """The tables of px left to right - 1, counted from the first logit and the first px of the input they need."""
    start, stop, first, _ = _span(columns, left, right)
    inputs, pixels = stop - start + 1, right - left
    to_input, to_image = np.empty((2, inputs), np.uint32), np.empty((2, pixels), np.uint32)
    input_weights, image_weights = np.empty((2, inputs), np.float32), np.empty((2, pixels), np.float32)
    for side in range(2):
        for x in range(inputs):
            to_input[side, x] = (columns[0] if side == 0 else columns[1])[start + x] - first
            input_weights[side, x] = columns[2][side, start + x]
        for x in range(pixels):
            to_image[side, x] = (columns[3] if side == 0 else columns[4])[left + x] - start
            image_weights[side, x] = columns[5][side, left + x]
    return to_input, input_weights, to_image, image_weights, first


@_helper
def _gather(line, sources, left, right):
    lower, upper = sources[0], sources[1]
    for x in range(len(lower)):
        left[x] = line[lower[x]]
        right[x] = line[upper[x]]


@_helper
def _blend(pairs, above, below, weight_above, weight_below, weights, lines_first, out):
    """One line out of two, of which `pairs` holds the values to the left and to the right of each column.

    torch has two ways to add the four values up, which differ in where they round: each line first, or all in a row.
    """
    upper_left, upper_right = pairs[0, above], pairs[1, above]
    lower_left, lower_right = pairs[0, below], pairs[1, below]
    left, right = weights[0], weights[1]
    if lines_first:
        for x in range(len(left)):
            upper = _fma(upper_left[x], left[x], upper_right[x] * right[x])
            lower = _fma(lower_left[x], left[x], lower_right[x] * right[x])
            out[x] = _fma(upper, weight_above, lower * weight_below)
    else:
        for x in range(len(left)):
            value = _fma(weight_above * left[x], upper_left[x], (weight_above * right[x]) * upper_right[x])
            value = _fma(weight_below * left[x], lower_left[x], value)
            out[x] = _fma(weight_below * right[x], lower_right[x], value)


@_helper
def _evaluate_tile(logits, rows, strip, top, bottom, lines_first, scratch):
    """Leaves in scratch[2] the rows of the model's input that the tile needs, at the image's columns."""
    start, stop, first, last = _span(rows, top, bottom)
    cells, square, inputs, _ = scratch
    for r in range(last - first + 1):
        _gather(logits[first + r, strip[4] :], strip[0], cells[0, r], cells[1, r])
    for i in range(stop - start + 1):
        above, below = rows[0][start + i] - first, rows[1][start + i] - first
        upper, lower = rows[2][0, start + i], rows[2][1, start + i]
        _blend(cells, above, below, upper, lower, strip[1], lines_first[0], square[i])
        _gather(square[i], strip[2], inputs[0, i], inputs[1, i])


@_helper
def _line_of_tile(rows, strip, y, top, lines_first, scratch):
    """Leaves in scratch[3] the values of the image's row y, in the evaluated tile that begins at row top."""
    start = rows[3][top]
    above, below = rows[3][y] - start, rows[4][y] - start
    _blend(scratch[2], above, below, rows[5][0, y], rows[5][1, y], strip[3], lines_first[1], scratch[3])


@compiled
def enlarge_mask(logits, rows, columns, lines_first):
    """Logits (h, w) float32 and axis tables -> (H, W) float32."""
    out = np.empty((rows[6][-1], columns[6][-1]), np.float32)
    scratch = _scratch(rows, columns)
    for k in range(len(columns[6]) - 1):
        left, right = columns[6][k], columns[6][k + 1]
        strip = _strip_tables(columns, left, right)
        for t in range(len(rows[6]) - 1):
            top, bottom = rows[6][t], rows[6][t + 1]
            _evaluate_tile(logits, rows, strip, top, bottom, lines_first, scratch)
            for y in range(top, bottom):
                _line_of_tile(rows, strip, y, top, lines_first, scratch)
                for x in range(left, right):
                    out[y, x] = scratch[3][x - left]
    return out


@_helper
def _logits_range(logits, top, bottom, left, right):
    """Bounds of what can be interpolated from logits in rows top to bottom and columns left to right, inclusive."""
    smallest = largest = logits[top, left]
    for r in range(top, bottom + 1):
        line = logits[r, left : right + 1]
        for x in range(len(line)):
            smallest = min(smallest, line[x])
            largest = max(largest, line[x])
    margin = ROUNDING * max(abs(smallest), abs(largest))
    return smallest - margin, largest + margin


@_helper
def _note_changes(before, now, y, heights, counts):
    """Writes y into the list of every column whose bit differs from the row before, eight columns at a time."""
    for word in range(len(now)):
        changed = before[word] ^ now[word]
        before[word] = now[word]
        x = EIGHT * word
        while changed != 0:
            if changed & BYTE:
                heights[x, counts[x]] = y
                counts[x] += 1
            changed >>= np.uint64(EIGHT)
            x += 1


@_helper
def _measure_tile(rows, strip, top, bottom, lines_first, thresholds, scratch, bits, words, heights, counts):
    """Compares an evaluated tile; bits[0] holds the row above it, and afterwards the tile's last row."""
    middle, raised, lowered = thresholds
    area, area_raised, area_lowered = 0, 0, 0
    line, row, pixels = scratch[3], bits[1], strip[2].shape[1]
    for y in range(top, bottom):
        _line_of_tile(rows, strip, y, top, lines_first, scratch)
        in_middle, in_raised, in_lowered = np.int32(0), np.int32(0), np.int32(0)
        for x in range(pixels):
            value = line[x]
            in_middle += np.int32(value > middle)
            in_raised += np.int32(value > raised)
            in_lowered += np.int32(value > lowered)
            row[x] = np.uint8(value > middle)
        area += in_middle
        area_raised += in_raised
        area_lowered += in_lowered
        _note_changes(words[0], words[1], y, heights, counts)
    return area, area_raised, area_lowered


@_helper
def _is_decided(bounds, thresholds):
    for threshold in thresholds:
        if not (bounds[0] > threshold or bounds[1] <= threshold):
            return False
    return True


@_helper
def _measure_strip(logits, rows, columns, k, lines_first, thresholds, work):
    """Goes down the tiles of one strip of columns; leaves in `heights` at which rows each column changes."""
    scratch, bits, words, heights, counts = work
    left, right = columns[6][k], columns[6][k + 1]
    pixels = right - left
    strip = _strip_tables(columns, left, right)
    _, _, first, last = _span(columns, left, right)
    for x in range(len(counts)):
        bits[0, x] = bits[1, x] = counts[x] = 0
    area, area_raised, area_lowered = 0, 0, 0
    for t in range(len(rows[6]) - 1):
        top, bottom = rows[6][t], rows[6][t + 1]
        _, _, above, below = _span(rows, top, bottom)
        bounds = _logits_range(logits, above, below, first, last)
        if _is_decided(bounds, thresholds):
            size = (bottom - top) * pixels
            area += size * (bounds[0] > thresholds[0])
            area_raised += size * (bounds[0] > thresholds[1])
            area_lowered += size * (bounds[0] > thresholds[2])
            for x in range(pixels):
                bits[1, x] = np.uint8(bounds[0] > thresholds[0])
            _note_changes(words[0], words[1], top, heights, counts)
        else:
            _evaluate_tile(logits, rows, strip, top, bottom, lines_first, scratch)
            found = _measure_tile(
                rows, strip, top, bottom, lines_first, thresholds, scratch, bits, words, heights, counts
            )
            area += found[0]
            area_raised += found[1]
            area_lowered += found[2]
    return area, area_raised, area_lowered


@_helper
def _append_strip(left, pixels, height, where, heights, counts, transitions, used, box):
    """Turns the heights of a strip into positions on the full image and widens the box."""
    for x in range(pixels):
        count = counts[x]
        if count == 0:
            continue
        if count % 2 == 1:
            heights[x, count] = height
            count += 1
        box[0] = min(box[0], left + x)
        box[1] = min(box[1], heights[x, 0])
        box[2] = left + x
        box[3] = max(box[3], heights[x, count - 1] - 1)
        column = (where[0] + left + x) * where[2] + where[1]
        start = 0
        if used > 0 and transitions[used - 1] == column + heights[x, 0]:
            used -= 1  # the run goes on from the foot of one column to the head of the next
            start = 1
        for i in range(start, count):
            transitions[used] = column + heights[x, i]
            used += 1
    return used


@compiled
def measure_batch(logits, rows, columns, lines_first, thresholds, where, bits, words):
    """Measures masks one after another.

    Args:
        logits: (N, h, w) float32.
        rows: Tables of the vertical axis.
        columns: Tables of the horizontal axis.
        lines_first: (2,) bool.
        thresholds: (3,) float32: the threshold, raised, lowered.
        where: (3,) int64: left and upper px of the crop on the full image, the full image's height.
        bits: (2, B) uint8 to work in, B a multiple of 8 that holds the widest tile.
        words: (2, B / 8) uint64, the same memory.

    Returns:
        (N, 8) int64: box XYXY, area, area at the raised and at the lowered threshold, number of transitions; and the
        transitions of all masks, one after another.
    """
    height = rows[6][-1]
    heights = np.empty((bits.shape[1], height + 1), np.int32)
    counts = np.zeros(bits.shape[1], np.int64)
    work = (_scratch(rows, columns), bits, words, heights, counts)
    numbers = np.zeros((len(logits), NUMBERS), np.int64)
    transitions = np.empty(1 << 14, np.int64)
    end = 0
    for n in range(len(logits)):
        begin, box = end, np.array([columns[6][-1], height, -1, -1])
        for k in range(len(columns[6]) - 1):
            areas = _measure_strip(logits[n], rows, columns, k, lines_first, thresholds, work)
            for i in range(3):
                numbers[n, 4 + i] += areas[i]
            needed = end + counts.sum() + len(counts)
            if needed > len(transitions):
                larger = np.empty(2 * needed, np.int64)
                for i in range(end):
                    larger[i] = transitions[i]
                transitions = larger
            left, right = columns[6][k], columns[6][k + 1]
            mine = transitions[begin:]
            used = _append_strip(left, right - left, height, where, heights, counts, mine, end - begin, box)
            end = begin + used
        numbers[n, 7] = end - begin
        if box[2] >= 0:
            for i in range(4):
                numbers[n, i] = box[i]
    return numbers, transitions[:end]
