"""Lineage over two rounds of retraining: from an exported mask to people, and back from an image or a person."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sa_pipeline.artifacts import (
    ArtifactHeader,
    AssetName,
    RoundAssetName,
    artifact_name,
    read_header,
    read_table,
    writing_table,
)
from sa_pipeline.cards.write import write_rounds_page
from sa_pipeline.catalog.build import build_catalog
from sa_pipeline.catalog.query import query
from sa_pipeline.dataset import Dataset, open_dataset
from sa_pipeline.detection.record import BoxRecall, DetectorRecord
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.masks.rle import mask_to_counts
from sa_pipeline.promotion import checkpoint_in_use, promote
from sa_pipeline.round_checkpoints import RoundCheckpoint
from sa_pipeline.round_figures.collect import make_round_report
from sa_pipeline.sam.registry import LoadedModel, checkpoint_ref, load_model
from sa_pipeline.schemas import PREFILLED_MASKS
from sa_pipeline.stages.candidate_masks import make_candidate_masks
from sa_pipeline.stages.deduplicated_masks import make_deduplicated_masks
from sa_pipeline.stages.filtered_masks import make_filtered_masks
from sa_pipeline.stages.image_embeddings import make_image_embeddings
from sa_pipeline.stages.sa1b_export import make_sa1b_export
from sa_pipeline.stages.sam_checkpoint import make_sam_checkpoint
from sa_pipeline.stages.training_set import make_training_set
from sa_pipeline.studio.database import Studio, open_studio
from sa_pipeline.studio.embedded_images import shard_images
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.models import Role, Stage, Tool
from sa_pipeline.studio.new_tasks import GivenMask
from sa_pipeline.studio.prefilling import Prefill
from sa_pipeline.studio.snapshot import snapshot_round
from sa_pipeline.verifier.examples import collect_examples
from sa_pipeline_tests.rounds.test_retraining import record
from sa_pipeline_tests.studio.work import Work, accept_all, add_person, begin, thing

ADA, BEA, GRACE = "person-1", "person-2", "person-3"
DETECTOR = "d" * 64


@pytest.fixture(scope="module")
def chain(embedded_home, tmp_path_factory) -> tuple[Dataset, RoundCheckpoint, RoundCheckpoint]:
    """Ada's masks of two images made the first weights, Bea's of two others the second, which made the export."""
    dataset = embedded_home(tmp_path_factory.mktemp("lineage") / "home")
    settings = dataset.settings
    masks = settings.masks.model_copy(update={"points_per_side": 4})
    config = dataset.config.model_copy(update={"settings": settings.model_copy(update={"masks": masks})})
    dataset = open_dataset(dataset.home, config)
    studio = open_studio(dataset)
    ada, bea = add_person(studio, "Ada"), add_person(studio, "Bea")
    grace = add_person(studio, "Grace", Role.REVIEWER)
    work_through(studio, "assisted-1", {1, 2}, ada, grace)
    first = retrain(dataset, "assisted-1")
    embed(dataset)
    dataset.storage.write_bytes(
        artifact_name(RoundAssetName.OBJECT_DETECTOR, "assisted-1"), pretend_detector().model_dump_json().encode()
    )
    prefill = prefill_from_detector(dataset, "000001")
    work_through(studio, "semi-1", {3, 4}, bea, grace, stage=Stage.SEMI_AUTOMATIC, prefill=prefill)
    second = retrain(dataset, "semi-1")
    studio.close()
    model = embed(dataset)
    make_export(dataset, "000000", model)
    make_export(dataset, "000001", load_model("tiny"))
    build_catalog(dataset)
    return dataset, first, second


def work_through(studio: Studio, round_name: str, images: set[int], person, reviewer, **given) -> None:
    fill_queue(studio, round_name, images=images, **given)
    for _ in images:
        work: Work = begin(studio, person)
        work.do(
            (Tool.BRUSH, thing(work.rectangle(10, 10, 60, 50))), (Tool.BRUSH, thing(work.rectangle(80, 20, 50, 60)))
        )
        work.finish()
    accept_all(studio, reviewer, len(images))
    snapshot_round(studio, round_name)


def retrain(dataset: Dataset, round_name: str) -> RoundCheckpoint:
    make_training_set(dataset, round_name)
    make_sam_checkpoint(dataset, round_name)
    promote(dataset, round_name, even_if_worse=True)
    return record(dataset, round_name)


def embed(dataset: Dataset) -> LoadedModel:
    model = load_model(checkpoint_in_use(dataset))
    for shard in list_shards(dataset.storage):
        make_image_embeddings(dataset, shard, model)
    return model


def make_export(dataset: Dataset, shard: str, model: LoadedModel) -> None:
    make_image_embeddings(dataset, shard, model)
    make_candidate_masks(dataset, shard, model)
    make_filtered_masks(dataset, shard)
    make_deduplicated_masks(dataset, shard)
    make_sa1b_export(dataset, shard)


def pretend_detector() -> DetectorRecord:
    """What tells of a detector that was trained on Ada's masks; the weights themselves are not asked for."""
    header = ArtifactHeader(
        asset=RoundAssetName.OBJECT_DETECTOR,
        partition="assisted-1",
        schema_version=1,
        settings={},
        inputs={},
        counts=dict.fromkeys(("train_images", "train_boxes", "held_out_images", "held_out_boxes"), 1),
        content_digest=DETECTOR,
    )
    nothing = dict.fromkeys(("at_half", "average", "random_at_half", "random_average"))
    recall = BoxRecall(images=0, boxes=0, max_boxes=100, **nothing)
    return DetectorRecord(
        header=header,
        digest=DETECTOR,
        rounds=("assisted-1",),
        steps=1,
        loss=1.0,
        recall=recall,
        examples=(),
        settings={},
    )


def prefill_from_detector(dataset: Dataset, shard: str) -> Prefill:
    """A mask that the detector found on each image of a shard, as `prefilled_masks` holds it."""
    header = ArtifactHeader(
        asset=RoundAssetName.PREFILLED_MASKS,
        partition="semi-1",
        schema_version=1,
        settings={},
        inputs={"object_detector": DETECTOR},
        checkpoint=read_header(dataset.storage, AssetName.IMAGE_EMBEDDINGS, shard).checkpoint,
    )
    rows = []
    for image in shard_images(dataset, shard):
        mask = np.zeros((image.height, image.width), bool)
        mask[20:60, 20:60] = True
        rows.append(
            {
                "mask_id": image.image_id * 1_000_000 + 500_000,
                "image_id": image.image_id,
                "shard": shard,
                "round": "semi-1",
                "rank": 0,
                "box": [20.0, 20.0, 60.0, 60.0],
                "box_score": 0.9,
                "predicted_iou": 0.9,
                "stability_score": 0.9,
                "bbox": [20, 20, 39, 39],
                "area": 1600,
                "size": [image.height, image.width],
                "counts": mask_to_counts(mask),
            }
        )
    with writing_table(dataset.storage, PREFILLED_MASKS, header) as writer:
        writer.write(pa.Table.from_pylist(rows, schema=PREFILLED_MASKS))
    masks = {row["image_id"]: [GivenMask(row["counts"], source_mask_id=row["mask_id"])] for row in rows}
    return lambda of: masks if of == shard else {}


def human_ids(dataset: Dataset, round_name: str, *, split: str | None = None) -> list[int]:
    rows = read_table(dataset.storage, RoundAssetName.TRAINING_SET, round_name).to_pylist()
    return [row["mask_id"] for row in rows if split in (None, row["split"])]


def images_of(dataset: Dataset, split: str) -> list[int]:
    sql = f"select distinct image_id from human_masks join training_masks using (mask_id) where split = '{split}'"
    return query(dataset, f"{sql} order by 1")["image_id"].tolist()


def touched(rows: pd.DataFrame) -> Callable[..., dict[str, str]]:
    def of(what: str) -> dict[str, str]:
        return dict(rows[rows["what"] == what][["id", "how"]].to_numpy().tolist())

    return of


def test_one_query_leads_from_a_mask_to_its_source_weights_human_masks_and_people(chain) -> None:
    dataset, first, second = chain
    mask_id = query(dataset, "select min(mask_id) from masks where image_id = 1").iloc[0, 0]
    rows = query(dataset, f"select * from mask_lineage where mask_id = {mask_id} order by steps, human_mask_id")
    assert set(rows["source_uri"]) == set(query(dataset, "select source_uri from images where image_id = 1").iloc[:, 0])
    assert set(rows["export"]) == {"sa1b_export/sa_000000.tar"}
    assert set(rows["checkpoint_digest"]) == {second.checkpoint.digest}
    trained = {name: human_ids(dataset, name, split="train") for name in ("assisted-1", "semi-1")}
    found = rows[["steps", "ancestor_digest", "round", "human_mask_id", "annotator", "reviewer"]].to_numpy().tolist()
    assert found == [
        *([0, second.checkpoint.digest, "semi-1", mask, BEA, GRACE] for mask in trained["semi-1"]),
        *([1, first.checkpoint.digest, "assisted-1", mask, ADA, GRACE] for mask in trained["assisted-1"]),
        [2, checkpoint_ref("tiny").digest, None, None, None, None],
    ]
    others = query(dataset, "select distinct annotator from mask_lineage where shard = '000001'")
    assert others["annotator"].tolist() == [None]


def test_a_withdrawn_person_is_followed_to_every_checkpoint_mask_and_export(chain) -> None:
    dataset, first, second = chain
    of = touched(query(dataset, f"select * from touched_by_person('{ADA}')"))
    assert of("weights") == {first.checkpoint.digest: "weights", second.checkpoint.digest: "weights"}
    own, helped = (human_ids(dataset, name) for name in ("assisted-1", "semi-1"))
    assert of("human mask") == {**{str(mask): "own" for mask in own}, **{str(mask): "help" for mask in helped}}
    exported = query(dataset, "select mask_id from masks where shard = '000000'")["mask_id"]
    assert of("exported mask") == {str(mask): "weights" for mask in exported}
    assert of("export") == {"sa1b_export/sa_000000.tar": "weights"}
    later = touched(query(dataset, f"select * from touched_by_person('{BEA}')"))
    assert later("weights") == {second.checkpoint.digest: "weights"}
    reviewer = touched(query(dataset, f"select * from touched_by_person('{GRACE}')"))
    assert set(reviewer("human mask").values()) == {"reviewed"}
    assert reviewer("weights") == {}


def test_a_detector_and_what_it_helped_with_are_followed_too(chain) -> None:
    dataset, _, second = chain
    assert touched(query(dataset, f"select * from touched_by_person('{ADA}')"))("detector") == {DETECTOR: "weights"}
    assert touched(query(dataset, f"select * from touched_by_person('{BEA}')"))("detector") == {}
    later = query(dataset, f"select later_digest, how from checkpoint_influence where digest = '{DETECTOR}'")
    assert later.to_numpy().tolist() == [[second.checkpoint.digest, "help"]]
    shown = query(dataset, f"select count(*) from mask_help where digest = '{DETECTOR}'")
    assert shown.iloc[0, 0] == 2


def test_a_withdrawn_image_is_followed_too_with_the_masks_on_it(chain) -> None:
    dataset, _, second = chain
    image = images_of(dataset, "train")[-1]
    rows = query(dataset, f"select * from touched_by_image({image})")
    of = touched(rows)
    assert of("weights") == {second.checkpoint.digest: "weights"}
    on_it = query(dataset, f"select mask_id from masks where image_id = {image}")["mask_id"]
    assert {mask for mask, how in of("exported mask").items() if how == "own"} == {str(mask) for mask in on_it}
    assert of("export") == {"sa1b_export/sa_000000.tar": "weights", "sa1b_export/sa_000001.tar": "own"}
    assert set(rows[rows["what"] == "human mask"]["image_id"]) == {image}


def test_weights_that_were_only_compared_on_an_image_are_told_apart(chain) -> None:
    dataset, *_ = chain
    (image,) = images_of(dataset, "held_out")
    of = touched(query(dataset, f"select * from touched_by_image({image})"))
    assert set(of("weights").values()) == {"compared"}
    assert set(of("exported mask").values()) == {"own"}
    assert set(of("human mask").values()) == {"own"}


def test_the_report_tells_of_the_checkpoints_of_each_round(chain) -> None:
    dataset, first, second = chain
    rows = make_round_report(dataset).rounds
    assert [of.checkpoint_digest for of in rows] == [first.checkpoint.digest, second.checkpoint.digest]
    assert [of.held_out_masks for of in rows] == [first.evaluation.masks, second.evaluation.masks]
    assert rows[1].iou_1_click == second.evaluation.new.clicks.get(1)
    write_rounds_page(dataset)
    assert second.checkpoint.digest in (dataset.home / "cards" / "rounds.md").read_text(encoding="utf-8")


def test_the_verifier_learns_from_the_masks_of_a_detector_too(chain) -> None:
    dataset, *_ = chain
    examples = collect_examples(dataset)
    assert (examples.rounds, list(examples.images), examples.wrong.tolist()) == (("semi-1",), ["3", "4"], [False] * 2)


def test_somebody_who_made_nothing_touched_nothing(chain) -> None:
    dataset, *_ = chain
    assert query(dataset, "select * from touched_by_person('person-99')").empty
    assert query(dataset, "select * from touched_by_image(99)").empty
