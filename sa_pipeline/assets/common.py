"""What the assets of the shard flow share: partitions, the pool of models, and how a stage is reported."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import dagster as dg

from sa_pipeline.artifacts import artifact_name
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import SaPipelineError
from sa_pipeline.logs import log_context
from sa_pipeline.progress import LogProgress, Progress, with_watcher
from sa_pipeline.stages.result import StageResult

P = ParamSpec("P")
R = TypeVar("R")

IMAGE_SHARDS = dg.DynamicPartitionsDefinition(name="image_shards")
"""One partition per shard of the ledger."""

MODEL_POOL = "sam"
"""Steps that hold a model; the instance's settings say how many may do so at once."""

TRANSIENT_FAULTS = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)
"""Storage that does not answer for a moment, and whatever else is not known to be permanent."""

SHARD_FLOW: Mapping[str, Any] = {
    "partitions_def": IMAGE_SHARDS,
    "group_name": "automatic_stage",
    "retry_policy": TRANSIENT_FAULTS,
}


PASSED_OVER = "shards_passed_over"
"""Metadata: shards that an annotation round cannot take images of yet, each with the reason."""

STOPPED = "Stopped from outside; what was published is kept, and the next run goes on from there."


def fail_at_once(compute: Callable[P, R]) -> Callable[P, R]:
    """Spares an asset the retries where one of our own errors says that they would fail the same way.

    So does Ctrl-C, or *Terminate* in the UI: Dagster would take either for a fault and start the step again.
    """

    @functools.wraps(compute)
    def computed(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with log_context(**_place(args[0] if args else None)):
                return compute(*args, **kwargs)
        except SaPipelineError as error:
            if error.transient:
                raise
            raise dg.Failure(description=str(error), allow_retries=False) from error
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError) as interruption:
            raise dg.Failure(description=STOPPED, allow_retries=False) from interruption

    return computed


def _place(context: object) -> dict[str, object]:
    """Where in which run an asset is made, for the lines that it logs."""
    if not isinstance(context, dg.AssetExecutionContext):
        return {}
    partition = context.partition_key if context.has_partition_key else None
    kind = "shard" if partition is not None and partition.isdigit() else "round"
    found = {"run_id": context.run_id, "job": context.job_name, "asset": context.op_execution_context.op.name}
    return found | ({kind: partition} if partition is not None else {})


def log_progress(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> Progress:
    """Progress as lines in the run's log, and in the terminal if the run was started there."""
    return with_watcher(LogProgress(context.log.info))


def report(
    dataset: Dataset,
    result: StageResult,
    rate: str,
    pictures: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    values: Mapping[str, float] | None = None,
) -> dg.MaterializeResult[Any]:
    """Describes a stage's outcome for the UI.

    Args:
        dataset: Where the file lies.
        result: What the stage returned.
        rate: The count that throughput is reckoned from, such as `images`.
        pictures: Markdown of pictures by title.
        files: Names within the storage root of what else was made, by title.
        values: Other numbers, by title.
    """
    header = result.header
    metadata: dict[str, Any] = {name: dg.MetadataValue.int(count) for name, count in sorted(header.counts.items())}
    metadata |= values or {}
    metadata["seconds"] = dg.MetadataValue.float(round(result.seconds, 2))
    metadata["reused"] = dg.MetadataValue.bool(result.reused)
    if not result.reused and result.seconds > 0:
        throughput = header.counts.get(rate, 0) / result.seconds
        metadata[f"{rate}_per_second"] = dg.MetadataValue.float(round(throughput, 3))
    metadata["file"] = dg.MetadataValue.path(dataset.storage.url_of(artifact_name(header.asset, header.partition)))
    for title, name in (files or {}).items():
        metadata[title] = dg.MetadataValue.path(dataset.storage.url_of(name))
    if header.checkpoint is not None:
        metadata["checkpoint"] = f"{header.checkpoint.name} {header.checkpoint.digest[:16]}"
    for title, picture in (pictures or {}).items():
        metadata[title] = dg.MetadataValue.md(picture)
    return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(header.content_digest))
