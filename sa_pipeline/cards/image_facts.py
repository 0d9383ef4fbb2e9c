"""What a card says of images: how many, how large, where they came from, what was rejected."""

from dataclasses import dataclass

from sa_pipeline.cards.asking import Questions, Spread

MOST_ROWS = 20
"""Of the tables of sources and of image sizes."""


@dataclass(frozen=True)
class Source:
    """A folder, or a tar: how many images came from it, and how many of its files were rejected."""

    place: str
    images: int
    rejected: int


@dataclass(frozen=True)
class ImageFacts:
    """Of the images in the export.

    Attributes:
        count: Images.
        rejected: Reason and number of files, the most frequent first.
        shorter_side: px.
        source_shorter_side: px, before images were brought down.
        downsized: Images that were brought down.
        sizes: Width, height (px) and number of images, the most frequent first; at most `MOST_ROWS`.
        size_count: Number of different sizes.
        formats: Format of the source files and number of images.
        sources: Where the files were read, the largest first; at most `MOST_ROWS`.
        source_count: Number of different sources.
    """

    count: int
    rejected: tuple[tuple[str, int], ...]
    shorter_side: Spread
    source_shorter_side: Spread
    downsized: int
    sizes: tuple[tuple[int, int, int], ...]
    size_count: int
    formats: tuple[tuple[str, int], ...]
    sources: tuple[Source, ...]
    source_count: int


# The tar that a member lies in, or what precedes the last slash.
_SOURCES = """
SELECT CASE WHEN contains(source_uri, '#') THEN split_part(source_uri, '#', 1)
            ELSE regexp_replace(source_uri, '/[^/]*$', '') END AS place,
       count(*) FILTER (status = 'ok') AS images, count(*) FILTER (status = 'rejected') AS rejected
FROM exported_files GROUP BY 1
"""
_SIZES = "SELECT width, height, count(*) AS images FROM exported_images GROUP BY 1, 2"
_REJECTED = "SELECT reason, count(*) FROM exported_files WHERE status = 'rejected' GROUP BY 1 ORDER BY 2 DESC, 1"
_FORMATS = "SELECT format, count(*) FROM exported_images GROUP BY 1 ORDER BY 2 DESC, 1"


def collect_image_facts(ask: Questions) -> ImageFacts:
    """Asks the catalogue about images."""
    sources = ask.rows(f"{_SOURCES} ORDER BY images DESC, place LIMIT {MOST_ROWS}")
    return ImageFacts(
        count=ask.number("SELECT count(*) FROM exported_images"),
        rejected=tuple((reason, count) for reason, count in ask.rows(_REJECTED)),
        shorter_side=ask.spread("least(width, height)", "exported_images"),
        source_shorter_side=ask.spread("least(source_width, source_height)", "exported_images"),
        downsized=ask.number("SELECT count(*) FROM exported_images WHERE width < source_width"),
        sizes=tuple(
            (width, height, images)
            for width, height, images in ask.rows(f"{_SIZES} ORDER BY images DESC, 1, 2 LIMIT {MOST_ROWS}")
        ),
        size_count=ask.number(f"SELECT count(*) FROM ({_SIZES})"),  # noqa: S608  # no text from outside
        formats=tuple((name, count) for name, count in ask.rows(_FORMATS)),
        sources=tuple(Source(*row) for row in sources),
        source_count=ask.number(f"SELECT count(*) FROM ({_SOURCES})"),  # noqa: S608  # as above
    )
