"""The compiled part of `many_rles`: areas and boxes read from COCO's compressed strings without a mask in between."""

from sa_pipeline.compiled import compiled

AREA, LEFT, TOP, RIGHT, BOTTOM = range(5)
COLUMNS = 5
"""Of the row that `measure_strings` writes for a mask."""

BITS = 5
PAYLOAD = 0b011111
SIGN = 0b010000
MORE = 0b100000
ZERO = ord("0")
LONGEST = 7
"""As in `rle`."""

UNDIFFERENCED = 3
"""Runs at the start of a mask that are written as they are; later ones as the difference to the run two before."""


def _measure_string(codes, height, width, row):
    """Writes a mask's area and box into `row`; False where the string describes no mask of that size."""
    value, characters, number, total = 0, 0, 0, 0
    before, last = 0, 0  # runs
    area, left, top, right, bottom = 0, 0, height - 1, 0, 0
    for character in codes:
        code = character - ZERO
        if code < 0 or code >= 2 * MORE or characters == LONGEST:
            return False
        value |= (code & PAYLOAD) << (BITS * characters)
        characters += 1
        if code & MORE:
            continue
        if code & SIGN:
            value -= 1 << (BITS * characters)
        run = value + before if number >= UNDIFFERENCED else value
        if run < 0 or total + run > height * width:
            return False
        if number % 2 and run:
            first_column, last_column = total // height, (total + run - 1) // height
            left = first_column if area == 0 else left
            right = last_column
            if first_column == last_column:
                top, bottom = min(top, total % height), max(bottom, (total + run - 1) % height)
            else:  # it holds the bottom row of one column and the top row of the next
                top, bottom = 0, height - 1
            area += run
        total += run
        before, last = last, run
        value, characters, number = 0, 0, number + 1
    row[AREA], row[LEFT], row[RIGHT], row[BOTTOM] = area, left, right, bottom
    row[TOP] = top if area else 0
    return characters == 0 and total == height * width


_measure_string = compiled(_measure_string)


def _measure_strings(codes, ends, sizes, rows, sound):
    """Measures N masks whose strings lie one after another.

    Args:
        codes: (C,) uint8, the strings' characters.
        ends: (N,) int64, where in `codes` each string ends.
        sizes: (N, 2) int64, height and width.
        rows: (N, 5) int64, written: area, left, top, right, bottom.
        sound: (N,) bool, written: whether the string describes a mask of that size.
    """
    start = 0
    for index in range(len(ends)):
        height, width = sizes[index]
        sound[index] = _measure_string(codes[start : ends[index]], height, width, rows[index])
        start = ends[index]


measure_strings = compiled(_measure_strings)
