"""What was evaluated, kept beside the tables together with the numbers."""

from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict

from sa_pipeline.artifacts import CheckpointRef
from sa_pipeline.evaluation.summary import Summary
from sa_pipeline.settings import EvaluationSettings
from sa_pipeline.storage import Storage

SUMMARY = "summary.json"


class EvaluationRun(BaseModel):
    """The model, the images and the settings of an evaluation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: CheckpointRef
    source: str
    settings: EvaluationSettings


class _Written(BaseModel):
    run: EvaluationRun
    summary: dict[str, Any]


def write_summary(output: Storage, run: EvaluationRun, summary: Summary) -> None:
    """Writes the numbers as `summary.json`; one that could not be reckoned is null.

    Raises:
        StorageError: The file cannot be written.
    """
    text = _Written(run=run, summary=asdict(summary)).model_dump_json(indent=2)
    output.write_bytes(SUMMARY, text.encode())
