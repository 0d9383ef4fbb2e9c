"""Why a file is not taken: every rejection has a reason that is counted, stored and tested."""

import enum

from sa_pipeline.errors import SaPipelineError


class RejectReason(enum.StrEnum):
    """One word for each way in which a file fails to become an image of the dataset."""

    EMPTY = "empty"
    """The file has no bytes."""
    NOT_AN_IMAGE = "not_an_image"
    """The content is of no image format, whatever the name says."""
    UNSUPPORTED_FORMAT = "unsupported_format"
    """An image or document format that is recognised but not read."""
    TRUNCATED = "truncated"
    """The file ends before its pixels do."""
    CORRUPT = "corrupt"
    """The file is whole but its content is damaged."""
    TOO_LARGE = "too_large"
    """More pixels than `ImageSettings.max_pixels`, judged by the header; or longer than a JPEG can be."""
    TOO_SMALL = "too_small"
    """A side is shorter than `ImageSettings.min_side`."""
    DUPLICATE = "duplicate"
    """The same bytes as an image that came earlier in the ledger."""
    CHANGED = "changed"
    """The file's bytes are no longer those that were entered in the ledger."""
    UNREADABLE = "unreadable"
    """The file vanished, may not be opened, or its disk or archive is damaged."""


class ImageRejected(SaPipelineError):  # noqa: N818 (an outcome that is expected, not a fault)
    """A file that does not become an image of the dataset; ends as a row with status `rejected`."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        """Takes the reason that is counted and a sentence for the person who looks into it."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
