"""`sam_checkpoint`: SAM retrained on a round's human masks."""

from typing import Any

import dagster as dg

from sa_pipeline.assets.common import MODEL_POOL, fail_at_once, log_progress, report
from sa_pipeline.assets.rounds import ROUND_FLOW
from sa_pipeline.assets.training_set import training_set
from sa_pipeline.report.png import markdown_image
from sa_pipeline.report.round_checkpoints import before_and_after, training_curves
from sa_pipeline.resources import DatasetResource
from sa_pipeline.round_checkpoints import RoundCheckpoint, read_round_checkpoint


@dg.asset(
    **ROUND_FLOW,
    deps=[training_set],
    pool=MODEL_POOL,
    kinds={"pytorch"},
    description="SAM retrained on the round's new masks only, from the weights in use or from a larger encoder's "
    "start, and compared with them on held-out images (paper §4).",
)
@fail_at_once
def sam_checkpoint(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Retrains on a round."""
    from sa_pipeline.stages.sam_checkpoint import make_sam_checkpoint

    dataset, round_name = data.open(), context.partition_key
    result = make_sam_checkpoint(dataset, round_name, log_progress(context))
    made = read_round_checkpoint(dataset.storage, round_name)
    if made is None:
        raise dg.Failure(f"sam_checkpoint of round {round_name} went away while it was described.")
    pictures = {
        "iou_by_clicks": markdown_image(before_and_after(made.evaluation)),
        "curves": markdown_image(training_curves(dataset, made)),
    }
    files = {"weights": made.file, "log": f"{made.folder}/log.csv"}
    return report(dataset, result, "steps", pictures, files, _figures(made))


def _figures(made: RoundCheckpoint) -> dict[str, Any]:
    evaluation = made.evaluation
    values: dict[str, Any] = {
        "parent": f"{made.parent.name} {made.parent.digest[:16]}",
        "new": f"{made.checkpoint.name} {made.checkpoint.digest[:16]}",
        "training_seconds": made.seconds,
        "held_out_images": evaluation.images,
        "held_out_masks": evaluation.masks,
        "promoted": made.promoted,
    }
    for name, figures in {**evaluation.before, "new": evaluation.new}.items():
        values |= {f"iou_{name}_{number}": round(iou, 4) for number, iou in figures.clicks.items()}
        if figures.best_of_three is not None:
            values[f"iou_{name}_best_of_three"] = round(figures.best_of_three, 4)
    return values
