"""Errors that a person can act on: what was wrong, where, what was expected, what to do."""

import re
from collections.abc import Mapping
from typing import ClassVar

from pydantic import ValidationError

_LONGEST_SHOWN = 60


class SaPipelineError(Exception):
    """Base of every error that sa_pipeline raises on purpose; its text is one sentence for the user.

    Attributes:
        transient: Whether the same work may succeed when it is tried again in a moment, as it is.
    """

    transient: ClassVar[bool] = False


class SettingsError(SaPipelineError):
    """A setting has a wrong name or value."""


class StorageError(SaPipelineError):
    """A file could not be read from or written to storage."""

    transient = True


class MissingFileError(StorageError):
    """Storage answers, and the file is not there."""

    transient = False


class StorageAccessError(StorageError):
    """Storage refuses: no permission, no valid credentials, no such bucket. It would refuse again."""

    transient = False


class LedgerBusyError(StorageError):
    """Somebody else appended images at the same time."""


class ArtifactError(SaPipelineError):
    """A file made by the pipeline is missing, damaged or of another schema version."""


class SourceError(SaPipelineError):
    """The source of images does not exist or cannot be listed."""

    transient = True


class SourceAccessError(SourceError):
    """The source refuses: no permission, no valid credentials, no such bucket. It would refuse again."""

    transient = False


class CheckpointError(SaPipelineError):
    """A model checkpoint is unknown, missing, damaged or of another architecture."""


class RecordError(SaPipelineError):
    """An SA-1B record does not follow the format."""


class AnnotationError(SaPipelineError):
    """Images with reference masks are missing, damaged or of another format than expected."""


class CatalogError(SaPipelineError):
    """The catalogue does not exist or a query against it failed."""


class VerificationError(SaPipelineError):
    """A dataset could not be verified to the end."""


class BackupError(SaPipelineError):
    """A backup cannot be made, is damaged, or would replace what is there."""


class StudioError(SaPipelineError):
    """The annotation studio's database is damaged or newer than this program, or what was asked of it is not there."""


class StudioUnavailableError(StudioError):
    """The annotation studio's database does not answer or cannot be written."""

    transient = True


def describe_validation_error(error: ValidationError, *, name: str) -> str:
    """Says in one sentence what the first problem of a pydantic error is: where, what was expected, what was got.

    Args:
        error: Of values that were found in `name`.
        name: Usually a file.
    """
    first = error.errors(include_url=False)[0]
    message = re.sub("^Input should be", "expected", first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "there is no such field"
    field = ".".join(str(part) for part in first["loc"])
    got = first["input"]
    # Where a whole object is at fault, its validator's own message says what it got.
    found = "" if not field or isinstance(got, Mapping) else f", got {shown(got)}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return ": ".join(part for part in (name, field, message) if part) + f"{found}{more}."


def shown(value: object) -> str:
    """A value as it is written in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
