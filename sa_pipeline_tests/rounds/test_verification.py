"""`verify` on the human side: snapshots, training sets and weights of a round."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sa_pipeline.artifacts import RoundAssetName, artifact_name
from sa_pipeline.checkpoint_history import PROMOTIONS
from sa_pipeline.dataset import Dataset
from sa_pipeline.promotion import promote
from sa_pipeline.round_checkpoints import read_round_checkpoint
from sa_pipeline.stages.sam_checkpoint import make_sam_checkpoint
from sa_pipeline.stages.training_set import make_training_set
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.snapshot import snapshot_round
from sa_pipeline.verification.place import find_place
from sa_pipeline.verification.verify import verify
from sa_pipeline_tests.rounds.conftest import import_accepted

ROUND = "assisted-1"


def findings(dataset: Dataset) -> list[tuple[str, str]]:
    report = verify(find_place(str(dataset.home)))
    root = f"{dataset.home}/"
    return [(finding.kind.value, finding.file.removeprefix(root)) for finding in report.findings]


def snapshot(dataset: Dataset) -> None:
    studio = open_studio(dataset)
    snapshot_round(studio, ROUND)
    studio.close()


def damage(path: Path) -> bytes:
    """Flips a bit of the first column of a table, or in the middle of another file; returns what was there before."""
    before = path.read_bytes()
    place = len(before) // 2
    if path.suffix == ".parquet":
        column = pq.read_metadata(path).row_group(0).column(0)
        start = column.dictionary_page_offset or column.data_page_offset
        place = start + column.total_compressed_size - 3
    path.write_bytes(before[:place] + bytes([before[place] ^ 16]) + before[place + 1 :])
    return before


@pytest.fixture
def turned(rounds_dataset: Dataset) -> Dataset:
    """A round from people's masks to weights in use."""
    import_accepted(rounds_dataset, ROUND)
    snapshot(rounds_dataset)
    make_training_set(rounds_dataset, ROUND)
    make_sam_checkpoint(rounds_dataset, ROUND)
    promote(rounds_dataset, ROUND, even_if_worse=True)
    return rounds_dataset


def test_damaged_missing_and_stale_files_of_a_round_are_told_apart(turned: Dataset) -> None:
    # The weights in use are new, so that the embeddings are old; nothing else is to be said.
    stale = [("stale", f"image_embeddings/{shard}.safetensors") for shard in ("000000", "000001")]
    assert findings(turned) == stale

    record = read_round_checkpoint(turned.storage, ROUND)
    assert record is not None
    tables = (RoundAssetName.HUMAN_MASKS, RoundAssetName.HUMAN_MASK_EVENTS, RoundAssetName.TRAINING_SET)
    for name in (*(artifact_name(asset, ROUND) for asset in tables), record.file):
        path = turned.home / name
        before = damage(path)
        assert ("damaged", name) in findings(turned)
        path.write_bytes(before)
    for name in (artifact_name(RoundAssetName.SAM_CHECKPOINT, ROUND), PROMOTIONS):
        path = turned.home / name
        before = path.read_bytes()
        path.write_bytes(before.replace(record.parent.digest.encode(), b"0" * 64))
        assert ("damaged", name) in findings(turned)
        path.write_bytes(before)
    assert findings(turned) == stale

    (turned.home / record.file).rename(turned.home / "taken_away")
    assert ("missing", record.file) in findings(turned)
    (turned.home / "taken_away").rename(turned.home / record.file)
