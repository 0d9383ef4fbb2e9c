"""The report of rounds says what people did, and the page stands beside the cards."""

import numpy as np
import pytest

from sa_pipeline.artifacts import RoundAssetName, artifact_name
from sa_pipeline.cards.write import write_cards, write_rounds_page
from sa_pipeline.catalog.build import build_catalog
from sa_pipeline.catalog.query import query
from sa_pipeline.dataset import DatasetConfig, open_dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.round_figures.agreement import measure_agreement
from sa_pipeline.round_figures.collect import ROUND_REPORT_FILE, make_round_report, read_round_report
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.models import Role, Stage, Tool
from sa_pipeline.studio.prefilling import automatic_masks
from sa_pipeline.studio.snapshot import snapshot_round
from sa_pipeline.verifier.examples import readable_rounds
from sa_pipeline_tests.studio.test_auditing import prefilled, without_left_part
from sa_pipeline_tests.studio.work import accept_all, add_person, begin, thing


@pytest.fixture
def worked(sqlite_studio):
    """Two people on one image, then a semi-automatic round on another."""
    studio = sqlite_studio
    ada, bea = add_person(studio, "Ada"), add_person(studio, "Bea")
    grace = add_person(studio, "Grace", Role.REVIEWER)
    fill_queue(studio, "assisted-1", images={1}, annotators_per_image=2)
    for person, width in ((ada, 40), (bea, 30)):
        work = begin(studio, person)
        cup = thing(work.rectangle(10, 20, 10, 40))
        grown = [cup.model_copy(update={"mask": work.rectangle(10, 20, to, 40)}) for to in (20, width)]
        work.do((Tool.CLICK, cup), (Tool.CLICK, grown[0]), (Tool.BRUSH, grown[1]), seconds=4.0)
        work.do((Tool.BRUSH, thing(work.rectangle(100, 100, 50, 50))), seconds=6.0)
        work.finish()
    accept_all(studio, grace, 2)
    snapshot_round(studio, "assisted-1")
    prefill = automatic_masks(studio.dataset)
    fill_queue(studio, "semi-1", stage=Stage.SEMI_AUTOMATIC, images={2}, prefill=prefill)
    work = begin(studio, ada)
    first, second, *_ = prefilled(work)
    work.do(
        (Tool.ERASER, without_left_part(first, 0.2)),
        (Tool.DELETE, second.model_copy(update={"deleted": True})),
        (Tool.BRUSH, thing(work.rectangle(3, 3, 20, 20))),
        seconds=10.0,
    )
    work.finish()
    accept_all(studio, grace, 1)
    snapshot_round(studio, "semi-1")
    return studio


def test_figures_are_those_of_what_people_did(worked) -> None:
    assisted, semi = make_round_report(worked.dataset).rounds
    assert (assisted.round, assisted.stage, assisted.tasks, assisted.images) == (
        "assisted-1", "assisted_manual", 2, 1
    )  # fmt: skip
    assert (assisted.annotators, assisted.manual, assisted.prefilled) == (2, 4, 0)
    # A cup took two clicks and a stroke of 4 s each, the square a stroke of 6 s.
    assert (assisted.seconds_per_mask, assisted.median_seconds_per_mask) == (9.0, 9.0)
    assert (assisted.clicks_per_mask, assisted.strokes_per_mask) == (1.0, 1.0)
    assert (assisted.manual_per_task, assisted.prefilled_per_task) == (2.0, 0.0)
    # After one click 10 of 40 or 30 columns, after two 20, and no more.
    assert assisted.clicked_masks == 2
    assert assisted.iou_by_clicks[0] == pytest.approx((10 / 40 + 10 / 30) / 2)
    assert assisted.iou_by_clicks[1:] == pytest.approx([(20 / 40 + 20 / 30) / 2] * 8)
    assert assisted.shared_images == 1
    assert assisted.agreement == pytest.approx(np.mean([30 / 40, 1.0, 30 / 40, 1.0]))
    assert assisted.shown == 0

    assert (semi.stage, semi.manual, semi.seconds_per_mask) == ("semi_automatic", 1, 10.0)
    assert (semi.mended, semi.deleted, semi.kept) == (1, 1, semi.shown - 2)
    assert semi.prefilled == semi.shown - 1
    assert semi.automatic_per_image == semi.shown
    assert (semi.iou_by_clicks, semi.agreement) == ([], None)


def test_a_round_is_read_again_only_when_its_snapshot_changed(worked, monkeypatch) -> None:
    first = make_round_report(worked.dataset).rounds
    assert read_round_report(worked.dataset.storage) == first
    fill_queue(worked, "semi-1", stage=Stage.SEMI_AUTOMATIC, images={2, 3}, prefill=automatic_masks(worked.dataset))
    begin(worked, add_person(worked, "Edith")).finish()
    accept_all(worked, add_person(worked, "Dora", Role.REVIEWER), 1)
    snapshot_round(worked, "semi-1")
    read = []

    def measured(dataset, name):
        read.append(name)
        return measure_agreement(dataset, name)

    monkeypatch.setattr("sa_pipeline.round_figures.collect.measure_agreement", measured)
    second = make_round_report(worked.dataset).rounds
    assert read == ["semi-1"]
    assert second[0] == first[0]
    assert second[1].kept > first[1].kept


def test_catalogue_and_page_show_the_rounds_and_the_card_leads_there(worked) -> None:
    dataset = worked.dataset
    make_round_report(dataset)
    build_catalog(dataset)
    rows = query(dataset, "SELECT round, seconds_per_mask, kept, shown FROM rounds").values.tolist()
    assert [row[:2] for row in rows] == [["assisted-1", 9.0], ["semi-1", 10.0]]
    write_cards(dataset)
    page = write_rounds_page(dataset)
    html = (dataset.home / "cards" / "rounds.html").read_text(encoding="utf-8")
    assert html.count("<svg ") == 6
    assert "34 to 14" in html
    text = (dataset.home / "cards" / "rounds.md").read_text(encoding="utf-8")
    assert f"{rows[1][2] / rows[1][3]:.0%}" in text
    assert set(page) == {"rounds.html", "rounds.md"}
    assert '<a href="rounds.html">' in (dataset.home / "cards" / "dataset_card.html").read_text(encoding="utf-8")
    assert "](rounds.html)" in (dataset.home / "cards" / "dataset_card.md").read_text(encoding="utf-8")


def test_without_rounds_the_page_says_so(tmp_path) -> None:
    dataset = open_dataset(tmp_path / "empty", DatasetConfig())
    assert make_round_report(dataset).rounds == []
    build_catalog(dataset)
    assert query(dataset, "SELECT count(*) FROM rounds").iloc[0, 0] == 0
    write_rounds_page(dataset)
    assert "No annotation round has a snapshot yet." in (dataset.home / "cards" / "rounds.html").read_text()


def test_a_damaged_table_is_named_and_made_anew(worked) -> None:
    made = make_round_report(worked.dataset)
    worked.dataset.storage.write_bytes(ROUND_REPORT_FILE, b"no table")
    with pytest.raises(ArtifactError, match="is damaged or of another version"):
        read_round_report(worked.dataset.storage)
    assert make_round_report(worked.dataset) == made


def test_a_round_whose_snapshot_is_damaged_is_left_out_and_hides_no_other(worked) -> None:
    worked.dataset.storage.write_bytes(artifact_name(RoundAssetName.HUMAN_MASK_EVENTS, "assisted-1"), b"cut off")
    made = make_round_report(worked.dataset)
    assert [of.round for of in made.rounds] == ["semi-1"]
    assert "human_mask_events" in made.left_out["assisted-1"]
    assert set(readable_rounds(worked.dataset)) == {"semi-1"}
