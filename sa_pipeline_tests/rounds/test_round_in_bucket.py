"""A round of a dataset that lies in a bucket, from its queue to weights in use: what it writes is as on a disk."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from sa_pipeline.artifacts import AssetName, RoundAssetName, artifact_name
from sa_pipeline.assets.annotation_tasks import AnnotationTasksConfig
from sa_pipeline.checkpoint_history import PROMOTIONS
from sa_pipeline.dataset import SETTINGS_FILE, STORAGE_VARIABLE, Dataset, open_dataset, save_config
from sa_pipeline.promotion import checkpoint_in_use, ref_in_use
from sa_pipeline.provenance import embeddings_fresh
from sa_pipeline.round_checkpoints import RoundCheckpoint, read_round_checkpoint
from sa_pipeline.runs import ensure_dagster_home, run_embeddings, run_fill, run_retraining
from sa_pipeline.studio.database import open_studio, studio_folder
from sa_pipeline.studio.models import TaskState
from sa_pipeline.studio.rounds import find_round
from sa_pipeline.verification.place import find_place
from sa_pipeline.verification.verify import verify
from sa_pipeline_tests.rounds.conftest import TRAINING, CopyHome, import_accepted
from sa_pipeline_tests.s3_server import S3Bucket

ROUND = "assisted-1"
SNAPSHOTS = (RoundAssetName.HUMAN_MASKS, RoundAssetName.HUMAN_MASK_EVENTS, RoundAssetName.TRAINING_SET)


@dataclass
class Twins:
    """The same embedded photographs in a bucket and on a disk."""

    bucket: S3Bucket
    remote: Dataset
    local: Dataset


@pytest.fixture
def twins(embedded_home: CopyHome, tmp_path: Path, s3: S3Bucket, monkeypatch: pytest.MonkeyPatch) -> Twins:
    local = embedded_home(tmp_path / "local")
    rounds = local.settings.rounds.model_copy(update={"training": TRAINING | {"steps": 1}})
    settings = local.settings.model_copy(update={"rounds": rounds})
    local = open_dataset(local.home, local.config.model_copy(update={"settings": settings}))
    save_config(local)
    for path in local.home.rglob("*"):
        if path.is_file():
            s3.write(f"ds/{path.relative_to(local.home).as_posix()}", path.read_bytes())
    monkeypatch.setenv(STORAGE_VARIABLE, f"{s3.url}/ds")
    return Twins(s3, open_dataset(tmp_path / "remote"), local)


def record(dataset: Dataset) -> RoundCheckpoint:
    made = read_round_checkpoint(dataset.storage, ROUND)
    assert made is not None
    return made


def test_a_round_in_a_bucket_leads_to_the_same_weights_in_use(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    remote, local = twins.remote, twins.local
    with ensure_dagster_home(remote) as instance:
        assert run_fill(remote, ROUND, AnnotationTasksConfig(), instance).success
        studio = open_studio(remote)
        with studio.read() as connection:
            assert find_round(connection, ROUND).tasks == {TaskState.OPEN: 4}
        studio.close()
        import_accepted(remote, ROUND)
        shutil.copytree(studio_folder(remote), studio_folder(local))
        outcome = run_retraining(remote, ROUND, instance)
        assert outcome.success, outcome.error
    assert not [path for path in remote.home.iterdir() if path.name in [*AssetName, *RoundAssetName, SETTINGS_FILE]]
    assert list((remote.home / "retraining").iterdir()) == []

    with monkeypatch.context() as alone:
        alone.delenv(STORAGE_VARIABLE)
        with ensure_dagster_home(local) as instance:
            assert run_retraining(local, ROUND, instance).success
    for name in (artifact_name(asset, ROUND) for asset in SNAPSHOTS):
        assert twins.bucket.read(f"ds/{name}") == local.storage.read_bytes(name), name
    made, same = record(remote), record(local)
    assert made.model_copy(update={"seconds": same.seconds}) == same
    assert twins.bucket.read(f"ds/{made.file}") == local.storage.read_bytes(same.file)
    keys = twins.bucket.keys()
    beside = [key.removeprefix("ds/") for key in keys if key.startswith(f"ds/{made.folder}/")]
    assert beside == local.storage.list(made.folder)
    assert f"ds/{PROMOTIONS}" in keys

    # The next round begins with the new weights, which come down from the bucket.
    assert ref_in_use(remote).digest == made.checkpoint.digest
    assert Path(checkpoint_in_use(remote)) == remote.home / "cache" / made.file
    with ensure_dagster_home(remote) as instance:
        assert run_embeddings(remote, "000000", instance).success
    assert embeddings_fresh(remote, "000000", ref_in_use(remote))
    report = verify(find_place(remote.storage.url))
    assert [(finding.kind.value, finding.file) for finding in report.findings] == [
        ("stale", remote.storage.url_of(artifact_name(AssetName.IMAGE_EMBEDDINGS, "000001")))
    ]
