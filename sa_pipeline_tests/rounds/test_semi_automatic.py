"""The semi-automatic stage: a detector learns from people's masks, and others begin with what it finds."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import pyarrow as pa
import pytest
import sqlalchemy as sa

from sa_pipeline.artifacts import AssetName, RoundAssetName, read_header, read_table, writing_table
from sa_pipeline.assets.annotation_tasks import AnnotationTasksConfig
from sa_pipeline.assets.prefilled_masks import PrefilledMasksConfig
from sa_pipeline.catalog.query import query
from sa_pipeline.dataset import Dataset, save_config
from sa_pipeline.detection.record import newest_detector, read_detector_record, weights_file
from sa_pipeline.errors import AnnotationError, ArtifactError
from sa_pipeline.generation.box_masks import BoxRule
from sa_pipeline.masks.rle import area_from_runs, box_from_runs, decode_counts
from sa_pipeline.progress import SilentProgress
from sa_pipeline.quality.semi_automatic import detector_beats_chance, masks_to_begin_with
from sa_pipeline.runs import ensure_dagster_home, run_catalog, run_detector, run_fill, run_prefill, run_round
from sa_pipeline.schemas import PREFILLED_MASKS
from sa_pipeline.settings import DetectorSettings, PrefillSettings, RoundsSettings
from sa_pipeline.shell_annotate import prepare_annotation
from sa_pipeline.stages.human_boxes import read_first_stage_boxes
from sa_pipeline.stages.object_detector import make_object_detector
from sa_pipeline.stages.prefilled_images import prefilled_images
from sa_pipeline.stages.prefilled_masks import _number, _require_own_number, prefilled_mask_id
from sa_pipeline.stages.prefilled_outcomes import prefilled_outcomes
from sa_pipeline.studio.database import Studio, open_studio
from sa_pipeline.studio.models import ObjectState, Role, Stage, TaskState, Tool
from sa_pipeline.studio.schema import events, tasks
from sa_pipeline.studio.snapshot_rows import FIRST_HUMAN_MASK_ID
from sa_pipeline_tests.rounds.conftest import PHOTOGRAPHS, CopyHome, held_out_names, import_accepted
from sa_pipeline_tests.studio.work import Work, accept_all, add_person, begin

DETECTOR = DetectorSettings(
    input_size=96, max_input_size=128, jitter=(1.0, 1.0), steps=3, images=1, learning_rate=1e-6, save_seconds=0
)
"""Three steps that hardly change the weights, so that boxes lie all over the image."""

EVERYTHING = PrefillSettings(min_box_score=0.0, pred_iou_thresh=0.0, stability_score_thresh=0.0)
"""Such boxes are no objects: every mask that is one may stay."""

SEMI = {"stage": Stage.SEMI_AUTOMATIC.value, "prefill": "detector"}


@pytest.fixture
def prepared(embedded_home: CopyHome, tmp_path) -> Dataset:
    """Three photographs have accepted masks, one of them is held out; the fourth is in no round."""
    dataset = embedded_home(tmp_path / "home")
    settings = dataset.settings.model_copy(update={"detector": DETECTOR, "prefill": EVERYTHING})
    dataset = with_settings(dataset, settings)
    import_accepted(dataset, "assisted-1", names=annotated(dataset))
    return dataset


@pytest.fixture
def instance(prepared: Dataset) -> Iterator[dg.DagsterInstance]:
    with ensure_dagster_home(prepared) as opened:
        yield opened


def with_settings(dataset: Dataset, settings) -> Dataset:
    changed = replace(dataset, config=dataset.config.model_copy(update={"settings": settings}))
    save_config(changed)
    return changed


def annotated(dataset: Dataset) -> list[str]:
    return [name for name in PHOTOGRAPHS if name != free_photograph(dataset)]


def free_photograph(dataset: Dataset) -> str:
    """The last one that is not held out."""
    return next(name for name in reversed(PHOTOGRAPHS) if name not in held_out_names(dataset))


def latest(instance: dg.DagsterInstance, asset: str) -> dg.AssetMaterialization:
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    return event.asset_materialization


def prefilled_states(studio: Studio, task_id: int) -> list[ObjectState]:
    with studio.read() as connection:
        rows = connection.execute(sa.select(events.c.state).where(events.c.task_id == task_id).order_by("version"))
        return [ObjectState.model_validate(state) for (state,) in rows]


def keep_mend_and_delete(work: Work) -> None:
    """Keeps the first mask that the task begins with, brushes another, deletes a third, and leaves the rest."""
    kept, mended, deleted, *_ = prefilled_states(work.studio, work.task_id)
    work.do((Tool.CONFIRM, kept))
    work.do((Tool.BRUSH, mended.model_copy(update={"mask": work.rectangle(5, 5, 40, 30)})))
    work.do((Tool.DELETE, deleted.model_copy(update={"deleted": True})))
    work.finish()


def test_people_keep_mend_and_delete_what_the_detector_and_sam_found(prepared, instance) -> None:
    assert run_round(prepared, "assisted-1", instance).success
    trained = run_detector(prepared, "assisted-1", instance)
    assert trained.success, trained.error
    metadata = latest(instance, "object_detector").metadata
    assert (metadata["steps"].value, metadata["train_images"].value, metadata["held_out_images"].value) == (3, 2, 1)
    assert 0 <= metadata["recall_at_100"].value <= 1
    assert metadata["loss"].value > 0
    assert all(metadata[name].value.startswith("![](data:image/jpeg") for name in ("boxes", "curves"))
    record = read_detector_record(prepared.storage, "assisted-1")
    assert record is not None
    assert record.rounds == ("assisted-1",)
    assert record.digest == prepared.storage.digest(weights_file("assisted-1"))
    assert [example.held_out for example in record.examples] == [True]
    assert not list((prepared.home / "training").iterdir())
    assert run_detector(prepared, "assisted-1", instance).success
    assert latest(instance, "object_detector").metadata["reused"].value is True

    found = run_prefill(prepared, "semi-1", PrefilledMasksConfig(), instance)
    assert found.success, found.error
    made = latest(instance, "prefilled_masks")
    rows = read_table(prepared.storage, RoundAssetName.PREFILLED_MASKS, "semi-1").to_pylist()
    (image_id,) = prefilled_images(prepared, "semi-1")
    assert image_id == PHOTOGRAPHS.index(free_photograph(prepared)) + 1
    assert made.metadata["images"].value == 1
    assert made.metadata["masks"].value == len(rows) >= 3
    dropped = sum(made.metadata[f"dropped_{rule}"].value for rule in BoxRule)
    assert made.metadata["boxes"].value == len(rows) + dropped
    assert made.metadata["detector"].value == f"assisted-1 {record.digest[:16]}"
    for rank, row in enumerate(rows):
        assert (row["mask_id"], row["rank"]) == (prefilled_mask_id(image_id, "semi-1", rank), rank)
        runs, height = decode_counts(row["counts"]), row["size"][0]
        left, top, right, bottom = box_from_runs(runs, height)
        assert (row["area"], row["bbox"]) == (area_from_runs(runs), [left, top, right - left, bottom - top])
    assert [row["predicted_iou"] for row in rows] == sorted((row["predicted_iou"] for row in rows), reverse=True)
    assert max(row["mask_id"] for row in rows) < FIRST_HUMAN_MASK_ID

    filled = run_fill(prepared, "semi-1", AnnotationTasksConfig(**SEMI), instance)
    assert filled.success, filled.error
    tasks_metadata = latest(instance, "annotation_tasks").metadata
    assert (tasks_metadata["new_images"].value, tasks_metadata["new_masks"].value) == (1, len(rows))
    studio = open_studio(prepared)
    ada, grace = add_person(studio, "Ada"), add_person(studio, "Grace", Role.REVIEWER)
    work = begin(studio, ada)
    shown = prefilled_states(studio, work.task_id)
    assert [state.source_mask_id for state in shown] == [row["mask_id"] for row in rows]
    assert {state.source.value for state in shown} == {"prefilled"}
    assert list(shown[0].prompts.box) == rows[0]["box"]
    keep_mend_and_delete(work)
    accept_all(studio, grace, 1)
    studio.close()
    assert run_round(prepared, "semi-1", instance).success

    outcomes = prefilled_outcomes(prepared, "semi-1").to_pylist()
    by_mask = {row["mask_id"]: row for row in outcomes}
    assert [by_mask[row["mask_id"]]["outcome"] for row in rows[:3]] == ["kept", "mended", "deleted"]
    assert Counter(row["outcome"] for row in outcomes) == {"kept": len(rows) - 2, "mended": 1, "deleted": 1}
    assert by_mask[rows[1]["mask_id"]]["iou"] < 1
    assert [by_mask[row["mask_id"]]["box_score"] for row in rows] == [row["box_score"] for row in rows]
    assert run_catalog(prepared, instance).success
    told = query(prepared, "select round, masks, kept, mended, deleted, share_kept from prefilled_outcomes")
    share = pytest.approx((len(rows) - 2) / len(rows))
    assert told.values.tolist() == [["semi-1", len(rows), len(rows) - 2, 1, 1, share]]
    lineage = """
        select p.checkpoint_digest, d.rounds from prefilled_mask_outcomes o
        join prefilled_masks p on p.round = o.round and p.mask_id = o.mask_id
        join detectors d on d.digest = p.detector_digest where o.outcome = 'deleted'
    """
    ((checkpoint, rounds),) = query(prepared, lineage).values.tolist()
    embeddings = read_header(prepared.storage, AssetName.IMAGE_EMBEDDINGS, "000000")
    assert embeddings is not None
    assert embeddings.checkpoint is not None
    assert (checkpoint, list(rounds)) == (embeddings.checkpoint.digest, ["assisted-1"])


def test_masks_of_a_semi_automatic_round_and_of_held_out_images_teach_the_detector_nothing(prepared, instance) -> None:
    import_accepted(prepared, "semi-1", names=[free_photograph(prepared)])
    studio = open_studio(prepared)
    of_second_stage = tasks.update().where(tasks.c.round == "semi-1").values(stage=Stage.SEMI_AUTOMATIC.value)
    studio.write(lambda connection: connection.execute(of_second_stage))
    studio.close()
    for name in ("assisted-1", "semi-1"):
        assert run_round(prepared, name, instance).success
    boxes = read_first_stage_boxes(prepared, 0.0)
    assert boxes.rounds == ("assisted-1",)
    masks = read_table(prepared.storage, RoundAssetName.HUMAN_MASKS, "assisted-1").to_pylist()
    assert sum(len(person) for image in boxes.images for person in image.people) == len(masks)
    first = boxes.images[0]
    own = [row["bbox"] for row in masks if row["image_id"] == first.image_id]
    assert first.people[0].tolist() == [[x, y, x + w + 1, y + h + 1] for x, y, w, h in own]
    large = read_first_stage_boxes(prepared, 0.2)
    assert len(large.images) == len(boxes.images)
    assert sum(len(person) for image in large.images for person in image.people) < len(masks)
    all_held_out = RoundsSettings(held_out_share=0.999999)
    dataset = with_settings(prepared, prepared.settings.model_copy(update={"rounds": all_held_out}))
    with pytest.raises(AnnotationError, match="all 3 images with accepted masks are held out"):
        make_object_detector(dataset, "assisted-1")


def test_a_detector_without_images_and_masks_without_a_detector_are_told_in_one_sentence(prepared, instance) -> None:
    outcome = run_detector(prepared, "assisted-1", instance)
    assert outcome.error == (
        "The detector has no image to be trained on: no assisted-manual round has accepted masks; snapshot one with "
        "`sa-pipeline annotations snapshot --round ROUND`."
    )
    missing = run_prefill(prepared, "semi-1", PrefilledMasksConfig(), instance)
    assert missing.error == "There is no object detector yet; materialize object_detector first."
    named = run_prefill(prepared, "semi-1", PrefilledMasksConfig(detector="assisted-7"), instance)
    assert named.error == "There is no object detector of round assisted-7 yet; materialize object_detector first."
    unfilled = run_fill(prepared, "semi-1", AnnotationTasksConfig(**SEMI), instance)
    assert unfilled.error == missing.error
    with pytest.raises(ArtifactError, match="Round semi-1 has no pre-filled masks yet; materialize prefilled_masks"):
        prefilled_images(prepared, "semi-1")
    wrong = run_fill(prepared, "semi-1", AnnotationTasksConfig(prefill="masks"), instance)
    assert wrong.error == "prefill: expected none, automatic, detector, got 'masks'."


def test_a_training_that_was_stopped_goes_on_and_new_masks_begin_another(prepared, instance) -> None:
    assert run_round(prepared, "assisted-1", instance).success

    class Stopping(SilentProgress):
        """Dies in the second step."""

        def track(self, items, *, description, total=None):
            for number, item in enumerate(items):
                yield item
                if description == "detector" and number == 1:
                    raise MemoryError

    with pytest.raises(MemoryError):
        make_object_detector(prepared, "assisted-1", Stopping())
    (folder,) = (prepared.home / "training").iterdir()
    assert len((folder / "log.csv").read_text().splitlines()) == 1 + 2
    assert newest_detector(prepared.storage) is None
    made = make_object_detector(prepared, "assisted-1")
    assert len(prepared.storage.read_bytes("object_detector/assisted-1.log.csv").splitlines()) == 1 + 3
    straight = with_settings(prepared, prepared.settings)
    straight.storage.remove("object_detector")
    assert make_object_detector(straight, "assisted-1").header == made.header

    passed = detector_beats_chance(prepared, "assisted-1")
    assert dict(passed.values)["held-out images"] == 1
    nothing_held_out = prepared.settings.model_copy(update={"rounds": RoundsSettings(held_out_share=0.0)})
    changed = with_settings(prepared, nothing_held_out)
    assert not make_object_detector(changed, "assisted-2").reused
    unknown = detector_beats_chance(changed, "assisted-2")
    assert (unknown.passed, unknown.severity) == (False, "warning")
    assert "none of the 0 held-out images has a box" in unknown.summary
    newest = newest_detector(changed.storage)
    assert newest is not None
    assert newest.header.partition == "assisted-2"


def test_one_command_begins_a_semi_automatic_round_with_the_detectors_masks(prepared, instance) -> None:
    assert run_round(prepared, "assisted-1", instance).success
    make_object_detector(prepared, "assisted-1")
    begun = prepare_annotation(prepared, "semi-1", SilentProgress(), prefilled=True)
    assert begun.failures == []
    assert begun.round is not None
    assert (begun.round.stage, begun.round.tasks) == (Stage.SEMI_AUTOMATIC, {TaskState.OPEN: 1})
    before = read_header(prepared.storage, RoundAssetName.PREFILLED_MASKS, "semi-1")
    assert before is not None
    # A newer detector does not change what people are at work on.
    make_object_detector(prepared, "assisted-2")
    again = prepare_annotation(prepared, "semi-1", SilentProgress())
    assert again.failures == []
    assert read_header(prepared.storage, RoundAssetName.PREFILLED_MASKS, "semi-1") == before
    looked = masks_to_begin_with(prepared, "semi-1")
    assert (looked.severity, dict(looked.values)["images"]) == ("warning", 1.0)


def test_ids_of_prefilled_masks_differ_by_image_round_and_rank() -> None:
    ids = {
        prefilled_mask_id(image_id, name, rank)
        for image_id in (1, 2)
        for name in ("semi-1", "semi-2")
        for rank in (0, 499)
    }
    assert len(ids) == 8
    assert 1_500_000 <= min(ids) < max(ids) < 3_000_000


def test_another_round_with_the_same_number_is_refused(prepared) -> None:
    by_number: dict[int, str] = {}
    for count in range(2000):
        name = f"semi-{count}"
        if (other := by_number.get(_number(name))) is not None:
            break
        by_number[_number(name)] = name
    header = read_header(prepared.storage, AssetName.RAW_IMAGES, "000000")
    assert header is not None
    made = header.model_copy(update={"asset": RoundAssetName.PREFILLED_MASKS, "partition": other})
    with writing_table(prepared.storage, PREFILLED_MASKS, made) as writer:
        writer.write(pa.Table.from_pylist([], schema=PREFILLED_MASKS))
    with pytest.raises(ArtifactError, match=f"would have the ids of those of {other}"):
        _require_own_number(prepared, name)
