"""Evaluation from the shell: what the options mean, and the numbers as tables."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError
from rich.table import Table

from sa_pipeline.annotated.opening import open_annotated
from sa_pipeline.errors import SettingsError, describe_validation_error
from sa_pipeline.evaluation.evaluate import evaluate
from sa_pipeline.evaluation.run import EvaluationRun, write_summary
from sa_pipeline.evaluation.summary import Summary, summarise
from sa_pipeline.progress import Progress
from sa_pipeline.report.evaluation_page import write_evaluation_page
from sa_pipeline.sam.registry import load_model
from sa_pipeline.settings import EvaluationSettings, MaskSettings, preset
from sa_pipeline.storage import Storage

ALL_CANDIDATES = {
    "pred_iou_thresh": 0.0,
    "stability_score_thresh": 0.0,
    "pred_iou_floor": None,
    "stability_score_floor": None,
}
"""Proposals are ranked and the best taken, so thresholds, which suit one checkpoint alone, are not asked."""


def evaluation_settings(
    preset_name: str, assignments: Sequence[str], max_segments_per_image: int | None, seed: int
) -> EvaluationSettings:
    """Settings from the command line.

    Args:
        preset_name: Whose automatic stage is run, without its thresholds.
        assignments: Changes to it, each `NAME=VALUE` with a field of `MaskSettings`.
        max_segments_per_image: Clicked on; None for all.
        seed: Of the draw.

    Raises:
        SettingsError: An assignment has a wrong form, name or value.
    """
    values = preset(preset_name).masks.model_dump() | ALL_CANDIDATES
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator:
            raise SettingsError(f"--set {assignment}: expected NAME=VALUE, such as points_per_side=32.")
        values[name] = _value_of(assignment, value)
    try:
        masks = MaskSettings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(describe_validation_error(error, name="--set")) from None
    try:
        return EvaluationSettings(masks=masks, max_segments_per_image=max_segments_per_image, seed=seed)
    except ValidationError as error:
        raise SettingsError(describe_validation_error(error, name="evaluate")) from None


def _value_of(assignment: str, text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise SettingsError(f"--set {assignment}: expected a number, true, false or null as the value.") from None


def run_evaluation(
    source: str,
    references: Path | None,
    checkpoint: str,
    settings: EvaluationSettings,
    output: Path,
    progress: Progress,
) -> tuple[Summary, str]:
    """Evaluates a checkpoint on annotated images, and writes tables, numbers and the page.

    Args:
        source: As `open_annotated` takes it.
        references: Likewise.
        checkpoint: A registered name or a path.
        settings: What is measured.
        output: Folder of everything that is written; images done before are not done again.
        progress: Shows the images.

    Returns:
        The numbers, and where the page is.

    Raises:
        SaPipelineError: Something cannot be read or written.
    """
    annotated = open_annotated(source, references)
    model, storage = load_model(checkpoint), Storage(output)
    evaluate(model, annotated, settings, storage, progress)
    summary = summarise(storage)
    run = EvaluationRun(checkpoint=model.ref, source=source, settings=settings)
    write_summary(storage, run, summary)
    return summary, write_evaluation_page(storage, run, summary, annotated, progress)


def summary_tables(summary: Summary) -> list[Table]:
    """The numbers for a terminal."""
    clicks = Table("clicks", "mean IoU", title=f"Simulated clicks on {summary.clicked} segments")
    for number, iou in summary.click_ious.items():
        clicks.add_row(str(number), f"{iou:.3f}")
    clicks.add_row("1, best of three", f"{summary.oracle_iou:.3f}")
    proposals = Table(
        "proposals", "found an image", "ABO", "AR", "recall 0.5", title=f"Proposals against {summary.segments} segments"
    )
    for name, quality in summary.proposals.items():
        per_image = summary.proposals_per_image.get(name)
        proposals.add_row(
            name,
            "-" if per_image is None else f"{per_image:.0f}",
            f"{quality.average_best_overlap:.3f}",
            f"{quality.average_recall:.3f}",
            f"{quality.recall_at_half:.3f}",
        )
    calibration = Table("masks of", "number", "Pearson", "Spearman", "predicted", "real", title="Predicted IoU")
    for name, found in (("first clicks", summary.click_calibration), ("proposals", summary.proposal_calibration)):
        numbers = (found.pearson, found.spearman, found.mean_predicted, found.mean_real)
        calibration.add_row(name, str(found.count), *(f"{number:.3f}" for number in numbers))
    return [clicks, proposals, calibration]
