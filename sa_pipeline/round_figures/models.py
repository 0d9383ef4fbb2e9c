"""What came of a round's masks: the models that were trained on them."""

from dataclasses import dataclass

from sa_pipeline.dataset import Dataset
from sa_pipeline.detection.record import read_detector_record
from sa_pipeline.round_checkpoints import read_round_checkpoint


@dataclass(frozen=True)
class TrainedModels:
    """Figures of the models that a round made; None where it made none or there was nothing to measure them on.

    Attributes:
        checkpoint_digest: SHA-256 of the SAM weights that were retrained on the round's masks.
        not_worse: Whether the evaluation on held-out images let them be promoted.
        held_out_masks: That both were compared on.
        parent_iou_1_click: Mean IoU after one simulated click, of the weights that training started from.
        iou_1_click: The same of the new weights.
        parent_iou_over_clicks: Mean over 1, 2, 3, 5 and 9 clicks, of the weights that training started from.
        iou_over_clicks: The same of the new weights.
        detector_recall: Share of people's boxes on held-out images that the box detector finds at an IoU of 0.5.
        detector_average_recall: The mean over IoUs of 0.5 to 0.95.
    """

    checkpoint_digest: str | None
    not_worse: bool | None
    held_out_masks: int | None
    parent_iou_1_click: float | None
    iou_1_click: float | None
    parent_iou_over_clicks: float | None
    iou_over_clicks: float | None
    detector_recall: float | None
    detector_average_recall: float | None


def read_models(dataset: Dataset, round_name: str) -> TrainedModels:
    """Reads what was trained in a round.

    Raises:
        ArtifactError: `sam_checkpoint` or `object_detector` of the round is damaged.
    """
    sam = read_round_checkpoint(dataset.storage, round_name)
    detector = read_detector_record(dataset.storage, round_name)
    return TrainedModels(
        checkpoint_digest=sam.checkpoint.digest if sam else None,
        not_worse=sam.promoted if sam else None,
        held_out_masks=sam.evaluation.masks if sam else None,
        parent_iou_1_click=sam.evaluation.parent.clicks.get(1) if sam else None,
        iou_1_click=sam.evaluation.new.clicks.get(1) if sam else None,
        parent_iou_over_clicks=sam.evaluation.parent.mean if sam else None,
        iou_over_clicks=sam.evaluation.new.mean if sam else None,
        detector_recall=detector.recall.at_half if detector else None,
        detector_average_recall=detector.recall.average if detector else None,
    )
