"""A card as sections of text, tables and charts, whatever it is written as."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from matplotlib.figure import Figure
from PIL import Image

from sa_pipeline.quality.bootstrap import Interval
from sa_pipeline.report.figures import to_image, to_svg


@dataclass(frozen=True)
class Heading:
    """A title within a section."""

    kind: ClassVar[str] = "heading"

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph of plain text; a quiet one is a remark."""

    kind: ClassVar[str] = "text"
    text: str
    quiet: bool = False


@dataclass(frozen=True)
class Link:
    """A paragraph that leads to a file beside the card."""

    kind: ClassVar[str] = "link"
    text: str
    target: str


@dataclass(frozen=True)
class Table:
    """Rows under a header; cells are plain text."""

    kind: ClassVar[str] = "table"
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Listing:
    """Text whose line breaks matter, such as settings."""

    kind: ClassVar[str] = "listing"
    text: str


@dataclass(frozen=True)
class Chart:
    """A figure with the name of its file and what it shows."""

    kind: ClassVar[str] = "chart"
    name: str
    caption: str
    figure: Figure

    @cached_property
    def picture(self) -> Image.Image:
        """On white."""
        return to_image(self.figure)

    @cached_property
    def svg(self) -> str:
        """In the colours of the page."""
        return to_svg(self.figure)


Block = Heading | Text | Link | Table | Listing | Chart


@dataclass(frozen=True)
class Section:
    """Blocks under a title; charts that follow each other stand side by side where there is room."""

    title: str
    blocks: tuple[Block, ...]

    @property
    def groups(self) -> list[tuple[str, list[Block]]]:
        """The blocks with those of one kind that follow each other together, and their kind."""
        return [(kind, list(blocks)) for kind, blocks in itertools.groupby(self.blocks, lambda block: block.kind)]


@dataclass(frozen=True)
class Document:
    """A card: its title, a line below, the figures that are seen first (value and name), and the sections."""

    title: str
    subtitle: str
    figures: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]

    @property
    def charts(self) -> list[Chart]:
        """All charts, in their order."""
        return [block for section in self.sections for block in section.blocks if isinstance(block, Chart)]


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table of values as text."""
    return Table(tuple(header), tuple(tuple(str(cell) for cell in row) for row in rows))


def number(value: float) -> str:
    """A number as a card shows it: whole numbers whole, others with three digits; a dash for NaN."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"


def interval(of: Interval) -> str:
    """A share with its confidence interval, in percent; without one where there is none."""
    value = "-" if math.isnan(of.value) else f"{of.value:.1%}"
    return value if math.isnan(of.low) else f"{value} ({of.low:.1%} to {of.high:.1%})"
