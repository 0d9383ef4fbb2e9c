"""Verifying the dataset in Dagster: a job that does what `sa-pipeline verify` does, and its schedule.

No asset check: most of what is looked at lies between assets, or belongs to none, such as the ledger.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from sa_pipeline.assets.common import TRANSIENT_FAULTS, fail_at_once, log_progress
from sa_pipeline.executor import in_process_executor
from sa_pipeline.resources import DatasetResource
from sa_pipeline.run_history import UNFINISHED
from sa_pipeline.verification.findings import FAULTS, Finding, FindingKind, VerificationReport
from sa_pipeline.verification.place import find_place
from sa_pipeline.verification.verify import EVERYTHING, verify

FINDINGS_TOLD = 50
"""Faults that a failed run names, and other findings that it logs; `sa-pipeline verify` has the rest."""

SUNDAY_AFTERNOON = "0 12-23 * * 0"
"""Every hour of it, UTC: far from the nightly backfill."""


class VerifyConfig(dg.Config):
    """What is looked at, and how."""

    shards: str = Field(
        default=EVERYTHING, description="pattern, such as 0000*; where it is not *, rounds and weights are left out"
    )
    jobs: int | None = Field(default=None, ge=1, description="processes; null: the cores, if the work pays them")


@dg.op(
    retry_policy=TRANSIENT_FAULTS,
    description="Reads the dataset from the first byte to the last; fails if something is damaged or missing.",
)
@fail_at_once
def verify_files(context: dg.OpExecutionContext, data: DatasetResource, config: VerifyConfig) -> None:
    """Verifies the dataset; counts are metadata of its output, or of its failure."""
    place = find_place(None, Path(data.home) if data.home else None)
    report = verify(place, shards=config.shards, jobs=config.jobs, progress=log_progress(context))
    others = [finding for finding in report.findings if finding.kind not in FAULTS]
    for line in _sentences(others):
        context.log.warning(line)
    if not report.ok:
        faults = [finding for finding in report.findings if finding.kind in FAULTS]
        description = "\n".join([report.verdict, *_sentences(faults)])
        raise dg.Failure(description=description, metadata=_describe(report), allow_retries=False)
    context.log.info(report.verdict)
    context.add_output_metadata(_describe(report))


@dg.job(
    executor_def=in_process_executor,
    description="Checks every digest, record and count of the dataset, as sa-pipeline verify does; changes nothing.",
)
def verify_dataset() -> None:
    """Verifies the dataset."""
    verify_files()


@dg.schedule(
    job=verify_dataset,
    cron_schedule=SUNDAY_AFTERNOON,
    description="Verifies the dataset on Sundays, in the first hour of the afternoon in which no run is in progress.",
)
def weekly_verification(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Asks for one run; not while shards are made, since one that is half made lacks files."""
    a_day_ago = datetime.now(UTC) - timedelta(days=1)
    if context.instance.get_runs_count(dg.RunsFilter(job_name=verify_dataset.name, created_after=a_day_ago)):
        return dg.SkipReason("The dataset was verified within a day.")
    running = context.instance.get_runs_count(dg.RunsFilter(statuses=UNFINISHED))
    if running:
        return dg.SkipReason(f"{running} runs are in progress; the next look is in an hour.")
    return dg.RunRequest()


def _sentences(findings: list[Finding]) -> list[str]:
    told = [f"{finding.kind}: {finding}" for finding in findings[:FINDINGS_TOLD]]
    left = len(findings) - len(told)
    return [*told, f"and {left} more; sa-pipeline verify --output report.json has all of them."] if left else told


def _describe(report: VerificationReport) -> dict[str, Any]:
    numbers = report.model_dump(exclude={"place", "findings"})
    return {
        "place": dg.MetadataValue.path(report.place),
        **numbers,
        **{kind.value: report.counts[kind] for kind in FindingKind},
    }
