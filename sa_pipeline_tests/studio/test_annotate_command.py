"""`sa-pipeline annotate` as a user calls it: nothing is set up before, and work can begin when it has spoken."""

import functools
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from sa_pipeline.artifacts import AssetName, artifact_name
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.errors import SourceError, StudioError
from sa_pipeline.images.ledger import ledger_name
from sa_pipeline.progress import SilentProgress
from sa_pipeline.shell_annotate import prepare_annotation
from sa_pipeline.studio.models import Stage, TaskState
from sa_pipeline_tests.studio.browser import free_port, wait_until


@pytest.fixture
def command(tmp_path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command on an empty home, and its address once it answers."""
    port = free_port()
    arguments = ["annotate", "--home", str(tmp_path / "home"), "--port", str(port)]
    output = (tmp_path / "output.txt").open("w")
    # Whoever runs the tests in the background has Ctrl-C ignored, and would hand that down.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        [sys.executable, "-m", "sa_pipeline.cli", *arguments], stdout=output, stderr=output, preexec_fn=heed
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        output.close()


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/api/health").is_success
    except httpx.TransportError:
        return False


def test_from_an_empty_folder_to_a_task_with_an_embedding_and_its_decoder(command, tmp_path) -> None:
    process, address = command
    wait_until(lambda: answers(address) or process.poll() is not None, "the server's start", 300)
    printed = (tmp_path / "output.txt").read_text()
    assert "Round assisted-1: 6 open." in printed
    token = re.search(rf"{address}/#token=(\S+)", printed)
    assert token, printed
    client = httpx.Client(base_url=f"{address}/api", headers={"Authorization": f"Bearer {token[1]}"})
    assert client.get("/session").json()["annotator"]["role"] == "lead"
    image = client.post("/tasks/lease").json()["task"]["image"]
    model = client.get(f"/models/{image['checkpoint_digest']}").json()
    embedding = client.get(image["embedding_url"].removeprefix("/api"))
    channels, height, width = model["embedding_shape"]
    assert len(embedding.content) == 2 * channels * height * width
    assert client.get(model["decoder_url"].removeprefix("/api")).is_success
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert "Traceback" not in (tmp_path / "output.txt").read_text()


def test_only_shards_without_embeddings_are_made_and_a_round_goes_on_as_it_began(studio_dataset) -> None:
    studio_dataset.storage.remove(artifact_name(AssetName.IMAGE_EMBEDDINGS, "000001"))
    first = prepare_annotation(studio_dataset, "semi-1", SilentProgress(), prefilled=True)
    assert (first.shards, first.embedded_shards, first.failures) == (2, 1, [])
    assert (first.round.stage, first.round.tasks) == (Stage.SEMI_AUTOMATIC, {TaskState.OPEN: 4})
    again = prepare_annotation(studio_dataset, "semi-1", SilentProgress())
    assert (again.embedded_shards, again.failures) == (0, [])
    assert again.round == first.round


def test_a_damaged_ledger_entry_fails_its_shard_alone(studio_dataset) -> None:
    storage = studio_dataset.storage
    storage.write_bytes(ledger_name("000001"), b"no ledger")
    storage.remove(artifact_name(AssetName.RAW_IMAGES, "000001"))
    prepared = prepare_annotation(without_source(studio_dataset), "assisted-1", SilentProgress())
    made, passed_over = prepared.failures
    assert made.startswith("shard 000001, raw_images: ")
    assert passed_over.startswith("shard 000001 has no tasks: ")
    assert prepared.round.tasks == {TaskState.OPEN: 2}


def test_mistakes_are_told_before_anything_is_written(studio_dataset, tmp_path) -> None:
    new = tmp_path / "new"
    with pytest.raises(StudioError, match="expected a letter"):
        prepare_annotation(open_dataset(new, studio_dataset.config), "Round 1", SilentProgress())
    gone = DatasetConfig(source=str(tmp_path / "gone"))
    with pytest.raises(SourceError, match="gone"):
        prepare_annotation(open_dataset(new, gone), "assisted-1", SilentProgress())
    assert not new.exists()


def without_source(dataset: Dataset) -> Dataset:
    return open_dataset(dataset.home, dataset.config.model_copy(update={"source": None}))
