"""`object_detector`: where things are, learned from all masks that people made in the first stage."""

from typing import Any

import dagster as dg
from PIL import Image

from sa_pipeline.assets.common import MODEL_POOL, fail_at_once, log_progress, report
from sa_pipeline.assets.human_masks import human_masks
from sa_pipeline.assets.rounds import ROUND_FLOW
from sa_pipeline.dataset import Dataset
from sa_pipeline.detection.record import DetectorRecord, curves_file, log_file, read_detector_record, weights_file
from sa_pipeline.report.boxes import box_sheet
from sa_pipeline.report.png import markdown_image
from sa_pipeline.resources import DatasetResource


@dg.asset(
    **ROUND_FLOW,
    # A detector learns from the masks of every assisted-manual round that there is.
    deps=[dg.AssetDep(human_masks, partition_mapping=dg.AllPartitionMapping())],
    pool=MODEL_POOL,
    kinds={"pytorch"},
    description="Box detector with the one class 'object', trained on all first-stage masks so far (paper §4).",
)
@fail_at_once
def object_detector(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Trains the detector."""
    from sa_pipeline.stages.object_detector import make_object_detector

    dataset, round_name = data.open(), context.partition_key
    result = make_object_detector(dataset, round_name, log_progress(context))
    record = read_detector_record(dataset.storage, round_name)
    assert record is not None  # noqa: S101  # just published
    files = {"weights": weights_file(round_name), "log": log_file(round_name)}
    return report(dataset, result, "train_images", _pictures(dataset, record), files, _values(record))


def _values(record: DetectorRecord) -> dict[str, float]:
    recall = record.recall
    values = {
        "steps": record.steps,
        "loss": record.loss,
        "rounds": len(record.rounds),
        f"recall_at_{recall.max_boxes}": recall.at_half,
        f"average_recall_at_{recall.max_boxes}": recall.average,
        "recall_of_random_boxes": recall.random_at_half,
        "average_recall_of_random_boxes": recall.random_average,
    }
    return {name: round(value, 4) for name, value in values.items() if value is not None}


def _pictures(dataset: Dataset, record: DetectorRecord) -> dict[str, str]:
    with dataset.storage.reading(curves_file(record.header.partition)) as file, Image.open(file) as curves:
        return {"boxes": markdown_image(box_sheet(dataset, record.examples)), "curves": markdown_image(curves)}
