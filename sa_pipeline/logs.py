"""Logs as lines of JSON for machines; for terminals, the plain text that each part has by itself.

A line has `time` (ISO 8601, UTC), `level`, `logger`, `message`, and what is known of where it comes from. In the
studio: `request_id`, `method`, `route`, `image_id`, `task_id`, `person` (a pseudonym such as `person-3`). In runs:
`run_id`, `job`, `asset`, `shard` or `round`. Names of people and tokens are never among it.
"""

import contextlib
import enum
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime

from sa_pipeline.errors import SettingsError

LOG_FORMAT_VARIABLE = "SA_PIPELINE_LOG_FORMAT"
PACKAGE = "sa_pipeline"

DAGSTER_META = "dagster_meta"
"""Attribute by which Dagster attaches to a record where it comes from."""

_PARTITION_TAG = "dagster/partition"

_context: ContextVar[Mapping[str, object]] = ContextVar("log_context", default={})  # noqa: B039  # never changed


class LogFormat(enum.StrEnum):
    """How lines of the log look."""

    TEXT = "text"
    JSON = "json"


def log_format() -> LogFormat:
    """What the environment variable `SA_PIPELINE_LOG_FORMAT` says; text without it.

    Raises:
        SettingsError: It says something else.
    """
    text = os.environ.get(LOG_FORMAT_VARIABLE, LogFormat.TEXT.value)
    try:
        return LogFormat(text)
    except ValueError:
        raise SettingsError(f"{LOG_FORMAT_VARIABLE}: expected text or json, got {text!r}.") from None


@contextlib.contextmanager
def log_context(**values: object) -> Iterator[None]:
    """While it is open, lines of this thread or task have these fields too."""
    token = _context.set({**_context.get(), **values})
    try:
        yield
    finally:
        _context.reset(token)


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; fields that are not known are left out."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_context.get(),
            **getattr(record, "fields", {}),
        }
        meta = getattr(record, DAGSTER_META, None)
        if meta is not None:
            line |= _of_run(meta)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in line.items() if value is not None}, default=str)


def configure_logging() -> None:
    """Has this process write its log to stderr as lines of JSON if that is wanted; else changes nothing.

    Other packages' loggers too, those that are there and those to come: Dagster gives each run one with colours.
    """
    if log_format() is not LogFormat.JSON:
        return
    logging.setLoggerClass(_JsonLogger)
    for name in list(logging.root.manager.loggerDict):
        _turn_to_json(logging.getLogger(name))
    logging.basicConfig(format="", level=logging.WARNING, force=True)
    _turn_to_json(logging.root)
    logging.getLogger(PACKAGE).setLevel(logging.INFO)
    logging.captureWarnings(capture=True)


def logs_json() -> bool:
    """Whether `configure_logging` has made this process write lines of JSON."""
    return logging.getLoggerClass() is _JsonLogger


class _JsonLogger(logging.Logger):
    def addHandler(self, handler: logging.Handler) -> None:  # noqa: N802  # named so by the base
        super().addHandler(handler)
        _turn_to_json(self)


def _turn_to_json(logger: logging.Logger) -> None:
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.setFormatter(JsonFormatter())
            # It has told all; the root's handler would tell it again.
            logger.propagate = False


def _of_run(meta: Mapping[str, object]) -> dict[str, object]:
    """Where in which run of Dagster a record was made."""
    tags = meta.get("job_tags")
    partition = tags.get(_PARTITION_TAG) if isinstance(tags, Mapping) else None
    of_shard = isinstance(partition, str) and partition.isdigit()
    found = {
        "message": meta.get("orig_message"),
        "run_id": meta.get("run_id"),
        "job": meta.get("job_name"),
        "asset": meta.get("step_key"),
        "event": getattr(meta.get("dagster_event"), "event_type_value", None),
        "exception": _error(meta.get("dagster_event")),
        "shard": partition if of_shard else None,
        "round": None if of_shard else partition,
    }
    return {name: value for name, value in found.items() if value is not None}


def _error(event: object) -> str | None:
    """The stack of an event of Dagster that tells of an error."""
    error = getattr(getattr(event, "event_specific_data", None), "error", None)
    return None if error is None else str(error.to_string())
