"""What came of a round's masks: the models that were trained on them."""

from dataclasses import dataclass

from sa_pipeline.dataset import Dataset
from sa_pipeline.detection.record import read_detector_record


@dataclass(frozen=True)
class TrainedModels:
    """Figures of the models that a round made; None where it made none or there was nothing to measure them on.

    Attributes:
        detector_recall: Share of people's boxes on held-out images that the box detector finds at an IoU of 0.5.
        detector_average_recall: The mean over IoUs of 0.5 to 0.95.
    """

    detector_recall: float | None
    detector_average_recall: float | None


def read_models(dataset: Dataset, round_name: str) -> TrainedModels:
    """Reads what was trained in a round.

    Raises:
        ArtifactError: `object_detector` of the round is damaged.
    """
    detector = read_detector_record(dataset.storage, round_name)
    return TrainedModels(
        detector_recall=detector.recall.at_half if detector else None,
        detector_average_recall=detector.recall.average if detector else None,
    )
