"""What an audit of exported masks says: how far people changed them, and how far people agree (paper §5)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sa_pipeline.artifacts import RoundAssetName, iterate_row_groups, read_header, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.quality.bootstrap import Interval, share_interval
from sa_pipeline.quality.outcome import CheckOutcome
from sa_pipeline.settings import AuditSettings
from sa_pipeline.stages.mask_quality_audit import HIGH_IOU, LOW_IOU
from sa_pipeline.stages.prefilled_pairs import PairOutcome

_COLUMNS = ["mask_id", "image_id", "first_person", "outcome", "iou", "agreement_iou"]


@dataclass(frozen=True)
class AuditFigures:
    """Of one audit round. Shares are over the pairs of each image's first person, deleted masks left out.

    Attributes:
        round: Its name.
        images: With an automatic mask that was looked at.
        pairs: Automatic masks of which a person's is there.
        kept: Of these, without any change.
        deleted: Masks that the person deleted, counted apart.
        added: Masks that these people drew, which the automatic stage had missed.
        over_90: Share of the pairs with an IoU over 0.90; 94 % in the paper.
        over_75: Over 0.75; 97 % in the paper.
        mean_iou: Mean IoU of the pairs; NaN without any.
        agreements: Masks that two people perfected, each on their own.
        median_agreement: Median IoU of the two results; the paper cites 85 to 91 % for masks made from nothing; NaN
            without any.
        disputed: Masks that one of two people deleted and the other did not.
    """

    round: str
    images: int
    pairs: int
    kept: int
    deleted: int
    added: int
    over_90: Interval
    over_75: Interval
    mean_iou: float
    agreements: int
    median_agreement: float
    disputed: int


def audit_figures(dataset: Dataset, round_name: str) -> AuditFigures:
    """Reads the figures of an audit; the same file and settings give the same intervals.

    Raises:
        ArtifactError: `mask_quality_audit` of the round was not made or is damaged.
    """
    header = read_header(dataset.storage, RoundAssetName.MASK_QUALITY_AUDIT, round_name)
    table = read_table(dataset.storage, RoundAssetName.MASK_QUALITY_AUDIT, round_name, columns=_COLUMNS)
    if header is None:
        raise ArtifactError(f"The audit of round {round_name} was removed; materialize mask_quality_audit again.")
    first = table.filter(table["first_person"])
    images = first["image_id"].to_numpy()
    ious = _numbers(first, "iou")
    agreements = _numbers(table, "agreement_iou")
    agreements = agreements[~np.isnan(agreements)]
    return AuditFigures(
        round=round_name,
        images=header.counts["images"],
        pairs=header.counts["pairs"],
        kept=header.counts[PairOutcome.KEPT],
        deleted=header.counts[PairOutcome.DELETED],
        added=header.counts["added"],
        over_90=_share_over(HIGH_IOU, images, ious, dataset.settings.audit),
        over_75=_share_over(LOW_IOU, images, ious, dataset.settings.audit),
        mean_iou=float(np.nanmean(ious)) if header.counts["pairs"] else float("nan"),
        agreements=len(agreements),
        median_agreement=float(np.median(agreements)) if len(agreements) else float("nan"),
        disputed=_disputed(table),
    )


def pairs_are_of_the_snapshot(dataset: Dataset, round_name: str) -> CheckOutcome:
    """Every person's mask of a pair is one of the round's, once, with the run lengths that it has there.

    Raises:
        ArtifactError: `mask_quality_audit` or `human_masks` was not made or is damaged.
    """
    counts: dict[int, str] = {}
    for group in iterate_row_groups(
        dataset.storage, RoundAssetName.HUMAN_MASKS, round_name, columns=["mask_id", "counts"]
    ):
        counts.update(zip(group["mask_id"].to_pylist(), group["counts"].to_pylist(), strict=True))
    columns = ["human_mask_id", "human_counts", "iou"]
    pairs = [
        row
        for row in read_table(
            dataset.storage, RoundAssetName.MASK_QUALITY_AUDIT, round_name, columns=columns
        ).to_pylist()
        if row["human_mask_id"] is not None
    ]
    strange = sum(counts.get(row["human_mask_id"]) != row["human_counts"] for row in pairs)
    twice = len(pairs) - len({row["human_mask_id"] for row in pairs})
    beyond = sum(not 0 <= row["iou"] <= 1 for row in pairs)
    summary = f"of {len(pairs)} pairs, {strange} are of no mask of the round, {twice} of one that another has, "
    summary += f"{beyond} have an IoU outside 0 to 1"
    return CheckOutcome(strange + twice + beyond == 0, summary, values=(("pairs", len(pairs)),))


def masks_hold_to_people(dataset: Dataset, round_name: str) -> CheckOutcome:
    """The share of pairs with an IoU over 0.75 is not below `min_share_over_75`; a failure is a warning.

    Raises:
        ArtifactError: `mask_quality_audit` of the round was not made or is damaged.
    """
    figures, bound = audit_figures(dataset, round_name), dataset.settings.audit.min_share_over_75
    if not figures.pairs:
        return CheckOutcome(True, "there are no pairs yet", severity="warning")
    share = figures.over_75
    summary = (
        f"{share.value:.1%} of {figures.pairs} pairs have an IoU over {LOW_IOU} "
        f"({share.low:.1%} to {share.high:.1%}); at least {bound:.0%} are asked for, SA-1B has 97 %"
    )
    return CheckOutcome(share.value >= bound, summary, severity="warning", values=(("share", share.value),))


def _share_over(
    threshold: float, images: npt.NDArray[np.int64], ious: npt.NDArray[np.float64], settings: AuditSettings
) -> Interval:
    paired = ~np.isnan(ious)
    _, group = np.unique(images[paired], return_inverse=True)
    totals = np.bincount(group)
    hits = np.bincount(group, weights=ious[paired] > threshold).astype(np.int64)
    return share_interval(
        hits, totals, seed=settings.seed, resamples=settings.resamples, confidence=settings.confidence
    )


def _disputed(table: pa.Table) -> int:
    verdicts: dict[int, set[bool]] = {}
    for mask_id, outcome in zip(table["mask_id"].to_pylist(), table["outcome"].to_pylist(), strict=True):
        verdicts.setdefault(mask_id, set()).add(outcome == PairOutcome.DELETED)
    return sum(len(found) > 1 for found in verdicts.values())


def _numbers(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """A column as (N,) float64, NaN for null."""
    return np.array(table[name].to_pylist(), np.float64)
