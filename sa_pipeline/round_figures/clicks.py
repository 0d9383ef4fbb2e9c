"""How much of a mask is there after each click: SAM's help as people really had it."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc

from sa_pipeline.artifacts import RoundAssetName, iterate_row_groups, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.stages.prefilled_pairs import mask_iou

MAX_CLICKS = 9
"""As in the paper's interactive evaluation (§D.1, Figure 9 c)."""

_COLUMNS = ["mask_id", "tool", "source", "size", "counts"]


@dataclass
class ClickCurve:
    """Mean IoU of the mask after the k-th click with the accepted mask.

    Attributes:
        masks: That people made with at least one click; those with fewer than k count with their last click, so that
            each mean is over the same masks.
        ious: After the first click, the second, and so on, up to `MAX_CLICKS`; empty without such a mask.
    """

    masks: int = 0
    ious: list[float] = field(default_factory=list)


def click_curve(dataset: Dataset, round_name: str) -> ClickCurve:
    """Reads the changes of a round, and compares what each click led to with what was accepted in the end.

    Clicks that were taken back count, since people made them.

    Raises:
        ArtifactError: `human_masks` or `human_mask_events` of the round was not made or is damaged.
    """
    made = read_table(
        dataset.storage, RoundAssetName.HUMAN_MASKS, round_name, columns=["mask_id", "source", "clicks", "counts"]
    )
    clicked = made.filter(pc.and_(pc.equal(made["source"], "manual"), pc.greater(made["clicks"], 0)))
    accepted = dict(zip(clicked["mask_id"].to_pylist(), clicked["counts"].to_pylist(), strict=True))
    ious: dict[int, list[float]] = {}
    for group in iterate_row_groups(dataset.storage, RoundAssetName.HUMAN_MASK_EVENTS, round_name, columns=_COLUMNS):
        for event in group.filter(pc.equal(group["tool"], "click")).to_pylist():
            counts, steps = accepted.get(event["mask_id"]), ious.setdefault(event["mask_id"], [])
            if counts is not None and len(steps) < MAX_CLICKS:
                after = event["counts"]
                steps.append(0.0 if after is None else mask_iou(after, counts, tuple(event["size"])))
    curves = [steps + steps[-1:] * (MAX_CLICKS - len(steps)) for steps in ious.values() if steps]
    return ClickCurve(len(curves), np.mean(curves, axis=0).tolist() if curves else [])
