"""The facts of a card are those of the exported records."""

import math

import numpy as np
import pytest

from sa_pipeline.artifacts import AssetName, artifact_name, export_tar_name
from sa_pipeline.cards.asking import asking
from sa_pipeline.cards.facts import Facts, collect_facts
from sa_pipeline.cards.shapes import sample_shapes
from sa_pipeline.cards.write import write_cards
from sa_pipeline.catalog.build import build_catalog
from sa_pipeline.dataset import Dataset, open_dataset
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.masks.concavity import concavity
from sa_pipeline.masks.rle import counts_to_mask
from sa_pipeline.sa1b.reader import read_tar
from sa_pipeline.sa1b.records import Record
from sa_pipeline.stages.deduplicated_masks import make_deduplicated_masks
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.decoder import ensure_decoder
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.models import Role, Tool
from sa_pipeline.studio.snapshot import snapshot_round
from sa_pipeline_tests.studio.work import accept_all, add_person, begin, thing


def facts_of(dataset: Dataset) -> Facts:
    with asking(dataset) as ask:
        return collect_facts(dataset, ask)


def records_of(dataset: Dataset, *shards: str) -> list[Record]:
    names = [export_tar_name(shard) for shard in shards or list_shards(dataset.storage)]
    return [record for name in names for _, record in read_tar(dataset.home / name)]


def test_counts_sizes_and_scores_are_those_in_the_tars(exported) -> None:
    facts, records = facts_of(exported), records_of(exported)
    masks = [mask for record in records for mask in record.annotations]
    per_image = [len(record.annotations) for record in records]
    assert (facts.images.count, facts.masks.count) == (4, len(masks))
    assert facts.masks.per_image.mean == pytest.approx(np.mean(per_image))
    assert facts.masks.images_by_masks.tolist() == np.histogram(per_image, [0, 11, 51, 101, 201, 10**9])[0].tolist()
    sizes = [math.sqrt(mask.area / math.prod(mask.segmentation.size)) for mask in masks]
    assert facts.masks.relative_size.median == pytest.approx(np.median(sizes))
    assert facts.masks.by_size.tolist() == np.histogram(sizes, 20, (0, 1))[0].tolist()
    assert facts.masks.predicted_iou.smallest == pytest.approx(min(mask.predicted_iou for mask in masks))
    assert facts.masks.by_stability.sum() == len(masks)
    left = sum(
        mask.bbox[0] + mask.bbox[2] / 2 < record.image.width / 2 for record in records for mask in record.annotations
    )
    assert facts.masks.centres[:, :16].sum() == left


def test_concavity_is_that_of_the_exported_masks(exported) -> None:
    expected = [
        concavity(counts_to_mask(mask.segmentation.counts, mask.segmentation.size))
        for record in records_of(exported)
        for mask in record.annotations
    ]
    assert sorted(facts_of(exported).shapes.concavities) == pytest.approx(sorted(expected))


def test_a_sample_is_the_same_for_the_same_seed(exported) -> None:
    with asking(exported) as ask:
        one, same, other = (sample_shapes(exported, ask, size=5, seed=seed).concavities for seed in (1, 1, 2))
    assert one.tolist() == same.tolist() != other.tolist()
    assert len(one) == 5


def test_images_are_told_by_source_with_rejected_files_and_downsizing(exported) -> None:
    images = facts_of(exported).images
    assert [(source.place.rsplit("/", 1)[1], source.images, source.rejected) for source in images.sources] == [
        ("day 1", 2, 0),
        ("day 2", 2, 1),
    ]
    assert images.rejected == (("not_an_image", 1),)
    assert (images.downsized, images.source_shorter_side.largest, images.shorter_side.largest) == (1, 200, 120)


def test_the_weights_are_named_with_their_digest_and_masks(exported) -> None:
    facts = facts_of(exported)
    (weights,) = facts.making.checkpoints
    assert (weights.name, len(weights.digest), weights.shards) == ("tiny", 64, 2)
    assert weights.masks == facts.masks.count
    assert facts.making.setting(AssetName.FILTERED_MASKS, "pred_iou_thresh") == 0.3


@pytest.mark.parametrize("what", ["export is missing", "masks are newer than the export"])
def test_a_shard_counts_only_as_it_is_exported(exported, what) -> None:
    if what == "export is missing":
        exported.storage.remove(artifact_name(AssetName.SA1B_EXPORT, "000001"))
    else:
        masks = exported.settings.masks.model_copy(update={"box_nms_thresh": 0.2})
        settings = exported.settings.model_copy(update={"masks": masks})
        changed = open_dataset(exported.home, exported.config.model_copy(update={"settings": settings}))
        make_deduplicated_masks(changed, "000001")
    build_catalog(exported)
    facts = facts_of(exported)
    assert (facts.making.shards, facts.making.left_out) == (("000000",), 1)
    assert facts.masks.count == sum(len(record.annotations) for record in records_of(exported, "000000"))


def test_peoples_accepted_masks_are_told_by_round_with_their_labels_and_no_names(exported) -> None:
    ensure_decoder(exported, "tiny")
    studio = open_studio(exported)
    try:
        fill_queue(studio, "assisted-1")
        ada, grace = add_person(studio, "Ada Lovelace"), add_person(studio, "Grace Hopper", Role.REVIEWER)
        for _ in range(2):
            work = begin(studio, ada)
            cup = thing(work.rectangle(10, 20, 30, 40), "a blue cup")
            work.do((Tool.CLICK, cup), (Tool.CLICK, cup), (Tool.BRUSH, thing(work.rectangle(0, 0, 9, 9))), seconds=3.0)
            work.finish()
        accept_all(studio, grace, 2)
        snapshot_round(studio, "assisted-1")
    finally:
        studio.close()
    build_catalog(exported)
    people = facts_of(exported).people
    assert (people.count, people.images, people.annotators, people.reviewers) == (4, 2, 1, 1)
    assert people.labels == (("a blue cup", "thing", 2),)
    (round_,) = people.rounds
    assert (round_.name, round_.stage, round_.manual) == ("assisted-1", "assisted_manual", 4)
    assert (round_.seconds_per_mask, round_.clicks_per_mask) == (4.5, 1.0)
    write_cards(exported)
    for name in ("dataset_card", "annotation_card"):
        text = (exported.home / "cards" / f"{name}.html").read_text(encoding="utf-8")
        assert "assisted-1" in text
        assert "Lovelace" not in text
    assert "a blue cup" in (exported.home / "cards" / "dataset_card.md").read_text(encoding="utf-8")
