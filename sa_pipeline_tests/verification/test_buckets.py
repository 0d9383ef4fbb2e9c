"""Datasets and exports in a bucket, by their URL."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sa_pipeline.artifacts import AssetName, artifact_name, export_tar_name
from sa_pipeline.cli import app
from sa_pipeline.dataset import SETTINGS_FILE, STORAGE_VARIABLE, open_dataset, save_config
from sa_pipeline.errors import SettingsError
from sa_pipeline.storage import Storage
from sa_pipeline.verification.place import find_place
from sa_pipeline.verification.verify import verify
from sa_pipeline_tests.verification.conftest import found


@pytest.fixture
def storage(run_home: Path, s3) -> Storage:
    """The files of a dataset in a bucket, without its settings."""
    storage = Storage(f"{s3.url}/dataset")
    for path in run_home.rglob("*"):
        name = path.relative_to(run_home).as_posix()
        if path.is_file() and name.split("/")[0] in ("ledger", *AssetName):
            storage.write_bytes(name, path.read_bytes())
    return storage


def test_a_dataset_and_its_exports_are_verified_where_they_lie(storage: Storage) -> None:
    for url in (storage.url, f"{storage.url}/sa1b_export"):
        assert found(verify(find_place(url))) == []

    name = export_tar_name("000001")
    storage.write_bytes(name, storage.read_bytes(name)[:-1] + b"1")
    storage.remove(artifact_name(AssetName.FILTERED_MASKS, "000000"))
    tar = ("damaged", "sa_000001.tar")
    assert found(verify(find_place(storage.url), jobs=2)) == [("missing", "000000.parquet"), tar]
    assert found(verify(find_place(f"{storage.url}/sa1b_export"))) == [tar]


def test_settings_that_lie_in_the_storage_tell_what_is_stale(
    run_home: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset(run_home)
    masks = dataset.settings.masks.model_copy(update={"pred_iou_thresh": 0.9})
    settings = dataset.settings.model_copy(update={"masks": masks})
    with monkeypatch.context() as shared:
        shared.setenv(STORAGE_VARIABLE, storage.url)
        save_config(open_dataset(run_home, dataset.config.model_copy(update={"settings": settings})))
    monkeypatch.setenv(STORAGE_VARIABLE, f"{storage.url}/elsewhere")
    told = CliRunner().invoke(app, ["verify", storage.url])
    assert told.exit_code == 0, told.output
    for shard in ("000000", "000001"):
        assert f"stale {storage.url}/filtered_masks/{shard}.parquet is whole and stale" in told.output
    assert "other settings (pred_iou_thresh)" in told.output
    assert "Nothing is damaged or missing; 2 stale." in told.output

    storage.write_bytes(SETTINGS_FILE, b"settings: {masks: {pred_iou_tresh: 0.9}}")
    with pytest.raises(SettingsError, match=f"{storage.url}/{SETTINGS_FILE}: .*pred_iou_tresh: there is no such field"):
        find_place(storage.url)
