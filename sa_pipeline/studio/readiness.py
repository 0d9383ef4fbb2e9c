"""Whether the studio's server can do its work: database, storage, and the decoder of the pictures in the queue."""

import logging
from collections.abc import Callable

import sqlalchemy as sa

from sa_pipeline.errors import MissingFileError, SaPipelineError
from sa_pipeline.images.ledger import ledger_name
from sa_pipeline.metrics_server import Checks
from sa_pipeline.studio.decoder import decoder_name
from sa_pipeline.studio.schema import tasks
from sa_pipeline.studio.workplace import Workplace

_LOG = logging.getLogger(__name__)

_FIRST_SHARD = ledger_name("000000")

# A write that changes nothing, and yet must reach the disk.
_TOUCH = sa.text("UPDATE alembic_version SET version_num = version_num")
_NEWEST = sa.select(tasks.c.checkpoint_digest).order_by(tasks.c.task_id.desc()).limit(1)


def look(workplace: Workplace) -> Checks:
    """Looks at what every request needs; what is wrong goes to the log, too.

    Returns:
        `database`: it can be read and written. `storage`: the dataset's files can be reached. `checkpoint`: the mask
        decoder of the newest task's picture can be loaded.
    """
    checks = {
        "database": _problem(workplace, _check_database),
        "storage": _problem(workplace, _check_storage),
        "checkpoint": _problem(workplace, _check_checkpoint),
    }
    for name, problem in checks.items():
        if problem:
            _LOG.error("not ready, %s: %s", name, problem)
    return checks


def _problem(workplace: Workplace, check: Callable[[Workplace], None]) -> str | None:
    try:
        check(workplace)
    except SaPipelineError as error:
        return str(error)
    except Exception as error:  # whatever it is, such as a decoder that ONNX Runtime refuses, people cannot work
        return f"{type(error).__name__}: {error}"
    return None


def _check_database(workplace: Workplace) -> None:
    workplace.studio.write(lambda connection: connection.execute(_TOUCH))


def _check_storage(workplace: Workplace) -> None:
    try:
        workplace.dataset.storage.fingerprint(_FIRST_SHARD)
    except MissingFileError as error:
        raise MissingFileError(f"{error} Is the dataset's disk mounted?") from None


def _check_checkpoint(workplace: Workplace) -> None:
    with workplace.studio.read() as connection:
        digest = connection.scalar(_NEWEST)
    if digest is not None:
        workplace.dataset.storage.fingerprint(decoder_name(digest))
        workplace.decoders.get(digest)
