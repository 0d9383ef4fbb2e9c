"""Are a round's weights at least as good as those before?"""

from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.quality.outcome import CheckOutcome
from sa_pipeline.round_checkpoints import read_round_checkpoint


def not_worse_than_parent(dataset: Dataset, round_name: str) -> CheckOutcome:
    """On held-out images the new weights lose no more IoU than `rounds.not_worse_by` allows.

    Raises:
        ArtifactError: `sam_checkpoint` was not made or is damaged.
    """
    record = read_round_checkpoint(dataset.storage, round_name)
    if record is None:
        raise ArtifactError(f"Round {round_name} has no weights; materialize sam_checkpoint first.")
    evaluation = record.evaluation
    gained = {f"gained, {name}": round(-loss, 4) for name, loss in evaluation.losses().items() if loss is not None}
    summary = (
        f"on {evaluation.masks} held-out masks, at one click {_shown(evaluation.parent.clicks.get(1))} before and "
        f"{_shown(evaluation.new.clicks.get(1))} after, over all clicks {_shown(evaluation.parent.mean)} and "
        f"{_shown(evaluation.new.mean)}"
    )
    if not record.promoted:
        summary = f"The weights of round {round_name} are not promoted: {evaluation.refusal()}"
    return CheckOutcome(record.promoted, summary, values=tuple(gained.items()))


def _shown(iou: float | None) -> str:
    return "-" if iou is None else f"{iou:.3f}"
