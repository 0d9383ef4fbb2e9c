"""The HTML report, as someone who opens it finds it."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sa_pipeline.artifacts import AssetName, CheckpointRef, artifact_name, export_tar_name
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.images.ledger import ledger_name
from sa_pipeline.report import page
from sa_pipeline.report.page import write_report
from sa_pipeline_tests.report.samples import SHARD, header, write_shard


class Page(HTMLParser):
    """Tags, links and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data) -> None:
        self.text += data


@pytest.fixture
def written(tmp_path) -> Dataset:
    dataset = open_dataset(tmp_path / "home", DatasetConfig(source="/photos"))
    write_shard(dataset)
    export = header(AssetName.SA1B_EXPORT).model_copy(
        update={
            "counts": {"images": 2, "masks": 4},
            "checkpoint": CheckpointRef(name="tiny", architecture="tiny", digest="ab" * 32),
        }
    )
    dataset.storage.write_bytes(export_tar_name(SHARD), b"")
    index = json.dumps({"header": export.model_dump(mode="json"), "tar_size": 0})
    dataset.storage.write_bytes(artifact_name(AssetName.SA1B_EXPORT, SHARD), index.encode())
    dataset.storage.write_bytes(ledger_name(SHARD), b"")
    return dataset


def test_every_picture_on_the_page_lies_beside_it(written) -> None:
    path = write_report(written)
    shown = Page(path)
    assert shown.sources.count("overlay/sa_1.jpg") == 1
    assert all((path.parent / source).is_file() for source in shown.sources), "and none is on the network"


def test_file_names_cannot_become_markup(written) -> None:
    shown = Page(write_report(written))
    assert "script" not in shown.tags
    assert '/photos/<script>alert("x")</script>&.jpg' in shown.text
    assert "not_an_image" in shown.text


def test_the_page_names_the_whole_digest_and_where_to_look_next(written) -> None:
    text = Page(write_report(written)).text
    assert "ab" * 32 in text
    assert str(written.home / "sa1b_export") in text
    assert str(written.catalog_path) in text
    assert "sa-pipeline ui" in text


def test_a_page_that_shows_a_part_says_so(written, monkeypatch) -> None:
    monkeypatch.setattr(page, "MAX_IMAGES_SHOWN", 1)
    shown = Page(write_report(written))
    assert "The first 1 of 2 images are shown." in shown.text
    assert "overlay/sa_2.jpg" not in shown.sources


def test_writing_the_page_again_changes_no_byte(written) -> None:
    def files() -> dict[str, bytes]:
        folder = write_report(written).parent
        return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert files() == files()


def test_a_dataset_without_shards_has_a_page(tmp_path) -> None:
    assert "0 masks on 0 images" in Page(write_report(open_dataset(tmp_path / "empty", DatasetConfig()))).text
