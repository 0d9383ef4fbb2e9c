"""Datasets and exports in a bucket, by their URL."""

from pathlib import Path

from sa_pipeline.artifacts import AssetName, artifact_name, export_tar_name
from sa_pipeline.storage import Storage
from sa_pipeline.verification.place import find_place
from sa_pipeline.verification.verify import verify
from sa_pipeline_tests.verification.conftest import found


def test_a_dataset_and_its_exports_are_verified_where_they_lie(run_home: Path, s3) -> None:
    storage = Storage(f"{s3.url}/dataset")
    for path in run_home.rglob("*"):
        name = path.relative_to(run_home).as_posix()
        if path.is_file() and name.split("/")[0] in ("ledger", *AssetName):
            storage.write_bytes(name, path.read_bytes())
    for url in (storage.url, f"{storage.url}/sa1b_export"):
        assert found(verify(find_place(url))) == []

    name = export_tar_name("000001")
    storage.write_bytes(name, storage.read_bytes(name)[:-1] + b"1")
    storage.remove(artifact_name(AssetName.FILTERED_MASKS, "000000"))
    tar = ("damaged", "sa_000001.tar")
    assert found(verify(find_place(storage.url), jobs=2)) == [("missing", "000000.parquet"), tar]
    assert found(verify(find_place(f"{storage.url}/sa1b_export"))) == [tar]
