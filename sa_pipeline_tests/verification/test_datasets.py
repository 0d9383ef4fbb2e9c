"""Whole datasets: each file by itself, and against those that it was made from."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from sa_pipeline.artifacts import AssetName, artifact_name, export_tar_name, read_header, read_table
from sa_pipeline.cli import app
from sa_pipeline.dataset import open_dataset, save_config
from sa_pipeline.images.ledger import ledger_name
from sa_pipeline.progress import SilentProgress
from sa_pipeline.provenance import shard_assets
from sa_pipeline.retuning import retune
from sa_pipeline.settings import PipelineSettings
from sa_pipeline.stages.sa1b_export import make_sa1b_export
from sa_pipeline.storage import Storage
from sa_pipeline.verification.contents import verify_content
from sa_pipeline.verification.findings import PartReport
from sa_pipeline.verification.place import find_place
from sa_pipeline.verification.verify import verify
from sa_pipeline_tests.verification.conftest import found, verified
from sa_pipeline_tests.verification.test_exports import first_mask, rehashed

SHARD = "000000"

FILES = shard_assets(PipelineSettings())


def test_a_dataset_of_a_real_run_is_well(run_home: Path) -> None:
    report = verified(run_home)
    assert found(report) == []
    assert (report.shards, report.images, report.files) == (2, 3, 2 * 8)
    assert report.masks > 0


@pytest.mark.parametrize("asset", FILES[:5])
def test_a_missing_file_is_named(home: Path, asset: AssetName) -> None:
    (home / artifact_name(asset, SHARD)).unlink()
    assert found(verified(home)) == [("missing", Path(artifact_name(asset, SHARD)).name)]


def test_a_shard_that_was_never_made_is_one_finding(home: Path) -> None:
    for asset in FILES:
        (home / artifact_name(asset, SHARD)).unlink()
    (home / export_tar_name(SHARD)).unlink()
    [finding] = verified(home).findings
    assert finding.kind == "missing"
    assert "run shard 000000 again" in finding.message


def test_a_lost_or_changed_ledger_is_named_since_it_gives_images_their_numbers(home: Path) -> None:
    ledger = home / ledger_name(SHARD)
    (home / ledger_name("000001")).replace(ledger)
    report = verified(home)
    assert not report.ok
    assert {("damaged", ledger.name), ("missing", "000001.parquet")} <= {*found(report)}
    assert all(
        "backup" in finding.message for finding in report.findings if finding.file.startswith(str(ledger.parent))
    )


def test_new_thresholds_make_stale_and_not_damaged(home: Path) -> None:
    dataset = open_dataset(home)
    masks = dataset.settings.masks.model_copy(update={"pred_iou_thresh": 0.9})
    changed = dataset.settings.model_copy(update={"masks": masks})
    dataset = open_dataset(home, dataset.config.model_copy(update={"settings": changed}))
    save_config(dataset)
    report = verified(home)
    assert report.ok
    assert found(report) == [("stale", "000000.parquet"), ("stale", "000001.parquet")]
    assert all("pred_iou_thresh" in finding.message for finding in report.findings)
    retune(dataset, SilentProgress())
    assert found(verified(home)) == []


def test_an_export_of_other_masks_than_lie_there_is_found_though_all_its_digests_are_right(home: Path) -> None:
    rehashed(home / AssetName.SA1B_EXPORT, first_mask(predicted_iou=0.5))
    [finding] = verified(home).findings
    assert (finding.kind, Path(finding.file).name) == ("damaged", "sa_000000.index.json")
    assert "has another sa_1.json than deduplicated_masks gives" in finding.message
    (home / artifact_name(AssetName.SA1B_EXPORT, SHARD)).unlink()
    make_sa1b_export(open_dataset(home), SHARD)
    assert found(verified(home)) == []


def test_weights_that_nobody_knows_are_told(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place = find_place(str(home))
    path = home / artifact_name(AssetName.IMAGE_EMBEDDINGS, SHARD)
    digest = json.loads(_header(path))["checkpoint"]["digest"]
    path.write_bytes(path.read_bytes().replace(digest.encode(), b"0" * 64))
    report = verify(place)
    assert ("unexplained", path.name) in found(report)
    assert ("stale", path.name) in found(report)


def _header(path: Path) -> str:
    data = path.read_bytes()
    header: str = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["sa_pipeline"]
    return header


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_flipped_byte_of_another_file_is_found_or_changes_no_value(run_home: Path, data: st.DataObject) -> None:
    """Parquet's own bookkeeping has bytes that no reader heeds; of embeddings, every byte counts but for settings."""
    storage = Storage(run_home)
    asset = data.draw(st.sampled_from(FILES[:5]))
    path = run_home / artifact_name(asset, SHARD)
    before = path.read_bytes()
    place = data.draw(st.integers(0, len(before) - 1))
    header = read_header(storage, asset, SHARD)
    values = None if asset is AssetName.IMAGE_EMBEDDINGS else read_table(storage, asset, SHARD)
    path.write_bytes(before[:place] + bytes([before[place] ^ data.draw(st.integers(1, 255))]) + before[place + 1 :])
    try:
        verified_header = verify_content(storage, asset, SHARD, PartReport(SHARD), "make it again")
        if verified_header == header:
            assert values is not None
            assert read_table(storage, asset, SHARD).equals(values)
        elif verified_header is not None:
            assert verified_header.content_digest == header.content_digest
    finally:
        path.write_bytes(before)


def test_the_command_says_what_is_wrong_what_to_do_and_exits_with_1(home: Path, tmp_path: Path) -> None:
    well = CliRunner().invoke(app, ["verify", str(home)])
    assert well.exit_code == 0
    assert "Every digest, record and count is as it was written." in well.output

    tar = home / export_tar_name("000001")
    tar.write_bytes(tar.read_bytes()[:-1])
    outputs = [tmp_path / "report.json", tmp_path / "report.parquet"]
    for output in outputs:
        ill = CliRunner().invoke(app, ["verify", "--home", str(home), "--output", str(output)])
        assert ill.exit_code == 1
        assert f"damaged {tar} has " in ill.output
        assert "delete it and run shard 000001 again." in ill.output
        assert "1 fault: 1 damaged." in ill.output
    assert json.loads(outputs[0].read_text())["findings"][0]["file"] == str(tar)
    import pyarrow.parquet as pq

    assert pq.read_table(outputs[1]).to_pylist()[0]["partition"] == "000001"
