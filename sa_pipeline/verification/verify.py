"""A whole verification: every shard by itself, side by side; then what holds between them; then the human side."""

import contextlib
import fnmatch
import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from sa_pipeline.artifacts import AssetName, list_partitions
from sa_pipeline.errors import MissingFileError, VerificationError
from sa_pipeline.images.ledger import LEDGER, list_shards
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.verification.findings import FindingKind, PartReport, Tally, VerificationReport, repeated
from sa_pipeline.verification.place import Place, export_shard, list_export_shards
from sa_pipeline.verification.rounds import list_annotation_rounds, verify_round
from sa_pipeline.verification.shards import Surroundings, verify_shard
from sa_pipeline.verification.weights import look_around, verify_weights

EVERYTHING = "*"
PROCESS_PAYS_FROM = 256 << 20
"""Bytes of exports below which further processes take longer to start than they spare."""


def verify(
    place: Place, *, shards: str = EVERYTHING, jobs: int | None = None, progress: Progress | None = None
) -> VerificationReport:
    """Checks every digest, record and count of a dataset, or of exports alone.

    Args:
        place: What is looked at.
        shards: Pattern of shards, such as `0000*`; where it is not `*`, rounds and weights are left out.
        jobs: Processes; None: as many as there are cores, where there is enough to do.
        progress: Shows shards and rounds.

    Raises:
        MissingFileError: No shard fits the pattern.
        StorageError: The storage cannot be reached.
        VerificationError: A process was killed.
    """
    started = time.monotonic()
    progress = progress or SilentProgress()
    known = _list_shards(place)
    chosen = fnmatch.filter(known, shards)
    if not chosen:
        raise MissingFileError(f"No shard is named {shards}; there are {known[0]} to {known[-1]}.")
    overall = PartReport("")
    parts = _verify_shards(place, chosen, look_around(place), jobs or _worthwhile_jobs(place, chosen), progress)
    rounds: list[PartReport] = []
    if shards == EVERYTHING:
        _verify_names(place, known, overall)
        if not place.alone:
            names = list_annotation_rounds(place.dataset)
            tracked = progress.track(names, description="rounds", total=len(names))
            rounds = [verify_round(place.dataset, name) for name in tracked]
            parts.append(verify_weights(place.dataset))
    _verify_ids(place, parts, rounds, overall)
    tally = Tally()
    everything = [*parts, *rounds, overall]
    for part in everything:
        tally.add(part.tally)
    return VerificationReport(
        place=place.storage.url_of(""),
        shards=len(chosen),
        rounds=len(rounds),
        files=tally.files,
        size=tally.size,
        images=tally.images,
        masks=tally.masks,
        seconds=round(time.monotonic() - started, 3),
        findings=tuple(finding for part in everything for finding in part.findings),
    )


def _list_shards(place: Place) -> list[str]:
    exported = list_export_shards(place)
    if place.alone:
        return exported
    made = (shard for asset in AssetName for shard in list_partitions(place.storage, asset))
    return sorted({*list_shards(place.storage), *made, *exported})


def _worthwhile_jobs(place: Place, shards: list[str]) -> int:
    """One process for little work, since each that is started imports the whole program first."""
    size = 0
    for shard in shards:
        with contextlib.suppress(MissingFileError, FileNotFoundError):
            size += place.storage.size(place.tar_name(shard))
        if size >= PROCESS_PAYS_FROM:
            return os.cpu_count() or 1
    return 1


def _verify_shards(
    place: Place, shards: list[str], around: Surroundings, jobs: int, progress: Progress
) -> list[PartReport]:
    """Reports in the order of the shards."""
    jobs = min(jobs, len(shards))
    work: Iterable[PartReport] = (verify_shard(place, shard, around) for shard in shards)
    if jobs > 1:
        work = _side_by_side(place, shards, around, jobs)
    found = list(progress.track(work, description="shards", total=len(shards)))
    return sorted(found, key=lambda part: part.partition)


def _side_by_side(place: Place, shards: list[str], around: Surroundings, jobs: int) -> Iterator[PartReport]:
    """Yields what is done first; few shards are handed out ahead, so that Ctrl-C need not wait for many."""
    left = iter(shards)
    pending: set[Future[PartReport]] = set()
    # Spawned, not forked: Arrow and fsspec have threads, which a fork would leave hanging.
    context = multiprocessing.get_context("spawn")
    # Ctrl-C ends a process without a word and without the rest of its shard.
    with ProcessPoolExecutor(jobs, context, signal.signal, (signal.SIGINT, signal.SIG_DFL)) as pool:
        try:
            while True:
                while len(pending) < 2 * jobs and (shard := next(left, None)) is not None:
                    pending.add(pool.submit(verify_shard, place, shard, around))
                if not pending:
                    return
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except BrokenProcessPool as error:
            raise VerificationError(
                "A process of the verification was killed, perhaps for want of memory; try again with --jobs 1."
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _verify_names(place: Place, shards: list[str], overall: PartReport) -> None:
    """Files among the exports that are none, and shards between others that are not there."""
    for name in place.exported_files():
        if export_shard(name) is None:
            url = place.storage.url_of(f"{place.exports}/{name}".lstrip("/"))
            overall.find(FindingKind.UNEXPLAINED, url, "is no file of an export; it may be moved elsewhere.")
    numbers = [int(shard) for shard in shards if shard.isdigit()]
    gaps = sorted({*range(max(numbers, default=-1) + 1)} - {*numbers})
    if not gaps:
        return
    first = f"{gaps[0]:06d}"
    if place.alone:
        url = place.storage.url_of(place.tar_name(first))
        more = f", nor are {len(gaps) - 1} further shards" if len(gaps) > 1 else ""
        overall.find(FindingKind.UNEXPLAINED, url, f"is not here{more}; get it too if the whole dataset is wanted.")
    else:
        url = place.storage.url_of(f"{LEDGER}/{first}.parquet")
        message = "is missing, and later shards are there; restore it from a backup: it gives images their numbers."
        overall.find(FindingKind.MISSING, url, message)


def _verify_ids(place: Place, parts: list[PartReport], rounds: list[PartReport], overall: PartReport) -> None:
    """Ids that several shards, or several rounds, have."""
    where = place.storage.url_of(place.exports)
    _tell_repeated(overall, where, "images", repeated(part.image_ids for part in parts))
    _tell_repeated(overall, where, "masks", repeated(part.mask_ids for part in parts))
    url = place.storage.url_of("human_masks")
    _tell_repeated(overall, url, "human masks", repeated(part.mask_ids for part in rounds))


def _tell_repeated(overall: PartReport, url: str, what: str, ids: list[int]) -> None:
    if ids:
        message = f"holds {len(ids)} ids of {what} more than once, the first {ids[0]}"
        overall.find(FindingKind.DAMAGED, url, f"{message}; one of the files does not belong here.")
