"""An audit: images of the export, their automatic masks perfected by people, and the figures that come of it."""

from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from sa_pipeline.artifacts import AssetName, RoundAssetName, read_header, read_table
from sa_pipeline.assets.annotation_tasks import AnnotationTasksConfig
from sa_pipeline.cards.write import write_cards
from sa_pipeline.catalog.query import query
from sa_pipeline.dataset import Dataset, open_dataset
from sa_pipeline.errors import ArtifactError, StudioError
from sa_pipeline.masks.rle import area_from_runs, counts_to_mask, decode_counts, mask_to_counts
from sa_pipeline.progress import SilentProgress
from sa_pipeline.quality.audit import audit_figures, masks_hold_to_people
from sa_pipeline.report.audit import worst_pairs
from sa_pipeline.runs import ensure_dagster_home, run_catalog, run_fill, run_round
from sa_pipeline.settings import AuditSettings
from sa_pipeline.shell_annotate import prepare_annotation
from sa_pipeline.stages.mask_quality_audit import make_mask_quality_audit
from sa_pipeline.stages.sa1b_export import make_sa1b_export
from sa_pipeline.studio.auditing import fill_audit
from sa_pipeline.studio.database import Studio, open_studio
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.models import ObjectState, Rle, Role, Stage, Tool
from sa_pipeline.studio.prefilling import automatic_masks
from sa_pipeline.studio.schema import objects, tasks
from sa_pipeline.studio.snapshot import snapshot_round
from sa_pipeline_tests.studio.work import Work, accept_all, add_person, begin, thing

ROUND = "audit-1"


@pytest.fixture
def exported(studio_dataset: Dataset) -> Dataset:
    for shard in ("000000", "000001"):
        make_sa1b_export(studio_dataset, shard)
    return studio_dataset


@pytest.fixture
def audited(exported: Dataset) -> Studio:
    """A copy of the dataset whose settings let half of the images be seen by two."""
    settings = exported.settings.model_copy(update={"audit": AuditSettings(images=4, shared_images=0.5)})
    studio = open_studio(open_dataset(exported.home, exported.config.model_copy(update={"settings": settings})))
    yield studio
    studio.close()


def task_rows(studio: Studio) -> list[sa.Row]:
    with studio.read() as connection:
        return list(connection.execute(sa.select(tasks).order_by(tasks.c.image_id, tasks.c.replica)))


def prefilled(work: Work) -> list[ObjectState]:
    """The objects of a task as the page has them."""
    with work.studio.read() as connection:
        query = sa.select(objects).where(objects.c.task_id == work.task_id).order_by(objects.c.prominence)
        return [
            ObjectState(
                object_id=row.object_id,
                source=row.source,
                source_mask_id=row.source_mask_id,
                prominence=row.prominence,
                mask=Rle(size=work.size, counts=row.counts),
                prompts=row.prompts,
            )
            for row in connection.execute(query)
        ]


def without_left_part(state: ObjectState, share: float) -> ObjectState:
    """The mask without its leftmost pixels."""
    mask = counts_to_mask(state.mask.counts, state.mask.size)
    columns, rows = np.nonzero(mask.T)
    cut = round(share * len(rows))
    mask[rows[:cut], columns[:cut]] = False
    return state.model_copy(update={"mask": Rle(size=state.mask.size, counts=mask_to_counts(mask))})


def perfect(work: Work, share: float) -> None:
    """Mends the first mask, deletes the second, leaves the others, and adds one."""
    first, second, *_ = prefilled(work)
    work.do(
        (Tool.ERASER, without_left_part(first, share)),
        (Tool.DELETE, second.model_copy(update={"deleted": True})),
        (Tool.BRUSH, thing(work.rectangle(3, 3, 20, 20))),
    )
    work.finish()


def test_an_audit_draws_exported_images_of_other_rounds_too_and_some_for_two_people(audited) -> None:
    fill_queue(audited, "assisted-1", images={1, 2, 3})
    report = fill_audit(audited, ROUND, max_images=4)
    rows = [row for row in task_rows(audited) if row.round == ROUND]
    assert sorted({row.image_id for row in rows}) == [1, 2, 3, 4]
    assert sorted(row.replica for row in rows) == [0, 0, 0, 0, 1, 1]
    assert {row.stage for row in rows} == {"audit"}
    assert (report.counts["images"], report.counts["tasks"], report.passed_over) == (4, 6, {})
    with audited.read() as connection:
        given = {row.task_id: row.n for row in connection.execute(
            sa.select(objects.c.task_id, sa.func.count().label("n")).group_by(objects.c.task_id)
        )}  # fmt: skip
    kept = {}
    for shard in ("000000", "000001"):
        masks = read_table(audited.dataset.storage, AssetName.DEDUPLICATED_MASKS, shard, columns=["image_id", "kept"])
        for image_id in masks.filter(masks["kept"])["image_id"].to_pylist():
            kept[image_id] = kept.get(image_id, 0) + 1
    assert {row.task_id: kept[row.image_id] for row in rows} == given


def test_the_same_seed_draws_the_same_images_and_more_are_added_to_them(audited) -> None:
    fill_audit(audited, ROUND, max_images=2)
    first = {row.image_id for row in task_rows(audited)}
    assert len(first) == 2
    assert fill_audit(audited, ROUND, max_images=1).counts["tasks"] == 0
    fill_audit(audited, "audit-2", max_images=2)
    assert {row.image_id for row in task_rows(audited) if row.round == "audit-2"} == first
    fill_audit(audited, ROUND, max_images=3)
    grown = {row.image_id for row in task_rows(audited) if row.round == ROUND}
    assert grown > first
    assert len(grown) == 3


def test_without_an_export_there_is_nothing_to_audit(studio) -> None:
    with pytest.raises(StudioError, match="No mask is exported yet"):
        fill_audit(studio, ROUND)


def test_pairs_and_figures_are_those_of_what_people_did(audited) -> None:
    fill_audit(audited, ROUND)
    ada, bea, grace = (add_person(audited, name) for name in ("Ada", "Bea", "Grace"))
    grace = add_person(audited, "Edith", Role.REVIEWER)
    first = []
    for _ in range(4):
        work = begin(audited, ada)
        first.append(prefilled(work)[0])
        perfect(work, share=0.3)
    for _ in range(2):
        work = begin(audited, bea)
        start = prefilled(work)
        work.do((Tool.ERASER, without_left_part(start[0], 0.4)))
        work.finish()
    accept_all(audited, grace, 6)
    snapshot_round(audited, ROUND)
    made = make_mask_quality_audit(audited.dataset, ROUND)
    assert make_mask_quality_audit(audited.dataset, ROUND).reused
    rows = read_table(audited.dataset.storage, RoundAssetName.MASK_QUALITY_AUDIT, ROUND).to_pylist()
    mine = [row for row in rows if row["first_person"]]
    assert len({row["mask_id"] for row in mine}) == len(mine)
    assert {row["annotator"] for row in mine} == {"person-1"}
    mended = {row["mask_id"]: row for row in mine if row["outcome"] == "mended"}
    assert set(mended) == {state.source_mask_id for state in first}
    for state in first:
        area = area_from_runs(decode_counts(state.mask.counts))
        assert mended[state.source_mask_id]["iou"] == pytest.approx((area - round(0.3 * area)) / area)
    deleted = [row for row in mine if row["outcome"] == "deleted"]
    assert len(deleted) == 4
    assert {(row["iou"], row["human_mask_id"]) for row in deleted} == {(None, None)}
    assert {row["iou"] for row in mine if row["outcome"] == "kept"} == {1.0}

    figures = audit_figures(audited.dataset, ROUND)
    pairs = len(mine) - 4
    assert (figures.images, figures.pairs, figures.deleted, figures.added) == (4, pairs, 4, 4)
    assert made.header.counts["over_90"] == figures.kept == pairs - 4
    assert figures.over_90.value == pytest.approx((pairs - 4) / pairs)
    assert figures.over_90.low <= figures.over_90.value <= figures.over_90.high < 1
    # Bea left what Ada deleted, cut further where she cut, and agreed on all others.
    assert figures.disputed == 2
    again = [row for row in rows if not row["first_person"]]
    assert figures.agreements == len(again) - 2
    cut = [row["agreement_iou"] for row in again if row["outcome"] == "mended"]
    assert cut == pytest.approx([0.6 / 0.7] * 2, abs=0.01)
    assert figures.median_agreement == 1.0
    assert worst_pairs(audited.dataset, ROUND).width > 300
    outcome = masks_hold_to_people(audited.dataset, ROUND)
    assert (outcome.passed, outcome.severity) == (figures.over_75.value >= 0.9, "warning")


def test_a_round_that_is_no_audit_is_refused_in_one_sentence(audited) -> None:
    with pytest.raises(ArtifactError, match="human_masks first"):
        make_mask_quality_audit(audited.dataset, "semi-1")
    fill_queue(audited, "semi-1", stage=Stage.SEMI_AUTOMATIC, images={1}, prefill=automatic_masks(audited.dataset))
    begin(audited, add_person(audited, "Ada")).finish()
    accept_all(audited, add_person(audited, "Grace", Role.REVIEWER), 1)
    snapshot_round(audited, "semi-1")
    with pytest.raises(ArtifactError, match="Round semi-1 is of the stage semi_automatic; a mask quality audit needs"):
        make_mask_quality_audit(audited.dataset, "semi-1")


def test_from_the_shell_an_audit_begins_goes_on_and_comes_into_catalogue_and_card(exported) -> None:
    begun = prepare_annotation(exported, ROUND, SilentProgress(), audit=2)
    assert (begun.failures, begun.round.stage, begun.round.images) == ([], Stage.AUDIT, 2)
    again = prepare_annotation(exported, ROUND, SilentProgress())
    assert (again.failures, again.round.images) == ([], 2)
    studio = open_studio(exported)
    ada, grace = add_person(studio, "Ada"), add_person(studio, "Grace", Role.REVIEWER)
    for _ in range(2):
        perfect(begin(studio, ada), share=0.3)
    accept_all(studio, grace, 2)
    studio.close()
    with ensure_dagster_home(exported) as instance:
        for outcome in (run_round(exported, ROUND, instance), run_catalog(exported, instance)):
            assert outcome.success, outcome.error
        wrong = run_fill(exported, "audit-2", AnnotationTasksConfig(stage="audit", image_ids=[1]), instance)
        assert wrong.error == "shards and image_ids: an audit draws its images from the whole export; leave both out."
    header = read_header(exported.storage, RoundAssetName.MASK_QUALITY_AUDIT, ROUND)
    outcomes = query(exported, "SELECT outcome, count(*) FROM audited_masks GROUP BY 1")
    assert dict(outcomes.values.tolist()) == {name: header.counts[name] for name in ("kept", "mended", "deleted")}
    write_cards(exported)
    card = (exported.home / "cards" / "dataset_card.md").read_text(encoding="utf-8")
    figures = audit_figures(exported, ROUND)
    assert f"{figures.over_90.value:.1%} ({figures.over_90.low:.1%} to {figures.over_90.high:.1%})" in card
    assert "In audits by people" in (exported.home / "cards" / "annotation_card.md").read_text(encoding="utf-8")


def test_every_setting_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
    for name, field in AuditSettings.model_fields.items():
        assert f"| `{name}` | {field.description} |" in text
