"""People see doubtful masks first: in audits, in the queue, and in reviews."""

import numpy as np
import pytest
import sqlalchemy as sa

from sa_pipeline.artifacts import AssetName, read_table
from sa_pipeline.dataset import Dataset, open_dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.settings import AuditSettings
from sa_pipeline.stages.sa1b_export import make_sa1b_export
from sa_pipeline.studio.auditing import fill_audit
from sa_pipeline.studio.database import Studio, open_studio
from sa_pipeline.studio.models import Role, Tool
from sa_pipeline.studio.reviewing import lease_review
from sa_pipeline.studio.schema import objects, tasks
from sa_pipeline.studio.snapshot import snapshot_round
from sa_pipeline.verifier.features import COLUMNS
from sa_pipeline.verifier.record import VERIFIER_FILE, make_verifier, read_verifier
from sa_pipeline_tests.studio.test_auditing import prefilled, without_left_part
from sa_pipeline_tests.studio.work import accept_all, add_person, begin


def exported_masks(dataset: Dataset) -> list[dict]:
    rows = []
    for shard in ("000000", "000001"):
        table = read_table(dataset.storage, AssetName.DEDUPLICATED_MASKS, shard, columns=[*COLUMNS, "kept"])
        rows += table.filter(table["kept"]).to_pylist()
    return rows


@pytest.fixture
def audited(studio_dataset: Dataset) -> Studio:
    """Somebody deleted all masks that are less stable than half of them, on all four photographs."""
    for shard in ("000000", "000001"):
        make_sa1b_export(studio_dataset, shard)
    audit = AuditSettings(images=4, shared_images=0.0, min_verifier_examples=5)
    settings = studio_dataset.settings.model_copy(update={"audit": audit})
    config = studio_dataset.config.model_copy(update={"settings": settings})
    studio = open_studio(open_dataset(studio_dataset.home, config))
    stability = {row["mask_id"]: row["stability_score"] for row in exported_masks(studio.dataset)}
    bound = np.median(list(stability.values()))
    fill_audit(studio, "audit-1")
    ada = add_person(studio, "Ada")
    for _ in range(4):
        work = begin(studio, ada)
        unstable = [state for state in prefilled(work) if stability[state.source_mask_id] < bound]
        work.do(*((Tool.DELETE, state.model_copy(update={"deleted": True})) for state in unstable))
        work.finish()
    accept_all(studio, add_person(studio, "Grace", Role.REVIEWER), 4)
    snapshot_round(studio, "audit-1")
    yield studio
    studio.close()


def test_it_learns_what_people_deleted_and_finds_more_than_chance_on_other_images(audited) -> None:
    made = make_verifier(audited.dataset)
    assert made.value.masks == len(exported_masks(audited.dataset))
    assert made.value.images == 4
    assert made.value.verifier[0.3] > made.value.by_chance + 0.2
    assert read_verifier(audited.dataset.storage) == made
    assert make_verifier(audited.dataset) == made
    rows = exported_masks(audited.dataset)
    doubts, stability = made.doubts(rows), np.array([row["stability_score"] for row in rows])
    assert doubts[stability < np.median(stability)].mean() > doubts[stability >= np.median(stability)].mean() + 0.3


def test_with_too_few_examples_nothing_is_learnt_and_a_damaged_file_is_named(studio_dataset) -> None:
    assert make_verifier(studio_dataset) is None
    assert read_verifier(studio_dataset.storage) is None
    studio_dataset.storage.write_bytes(VERIFIER_FILE, b"{}")
    with pytest.raises(ArtifactError, match=r"verifier\.json: .*materialize mask_verifier again"):
        read_verifier(studio_dataset.storage)


def test_doubtful_masks_come_first_in_audit_queue_and_review(audited) -> None:
    make_verifier(audited.dataset)
    fill_audit(audited, "audit-2")
    with audited.read() as connection:
        ours = objects.join(tasks)
        shown = connection.execute(
            sa.select(objects.c.task_id, objects.c.doubt)
            .select_from(ours)
            .where(tasks.c.round == "audit-2")
            .order_by(objects.c.task_id, objects.c.prominence)
        ).all()
        expected = connection.execute(
            sa.select(tasks.c.task_id, sa.func.sum(objects.c.doubt))
            .select_from(ours)
            .where(tasks.c.round == "audit-2")
            .group_by(tasks.c.task_id)
            .order_by(sa.func.sum(objects.c.doubt).desc())
        ).all()
    by_task = {task_id: [row.doubt for row in shown if row.task_id == task_id] for task_id, _ in expected}
    assert all(doubts == sorted(doubts, reverse=True) for doubts in by_task.values())
    worst, second = expected[0][0], expected[1][0]
    bea, dora = add_person(audited, "Bea"), add_person(audited, "Dora", Role.REVIEWER)
    first = begin(audited, bea)
    assert first.task_id == worst
    # The doubtful masks of the worst are mended, those of the next are waved through.
    first.do(*((Tool.ERASER, without_left_part(state, 0.1)) for state in prefilled(first)))
    first.finish()
    other = begin(audited, bea)
    assert other.task_id == second
    other.finish()
    assert lease_review(audited, dora).task_id == second
