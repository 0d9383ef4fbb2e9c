"""`sa-pipeline annotate` as a user calls it: nothing is set up before, and work can begin when it has spoken."""

import contextlib
import functools
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sa_pipeline.artifacts import AssetName, artifact_name
from sa_pipeline.dataset import STORAGE_VARIABLE, Dataset, DatasetConfig, open_dataset
from sa_pipeline.errors import SourceError, StudioError
from sa_pipeline.images.ledger import ledger_name
from sa_pipeline.progress import SilentProgress
from sa_pipeline.shell_annotate import prepare_annotation
from sa_pipeline.studio.models import Stage, TaskState
from sa_pipeline.studio.pictures import Pictures
from sa_pipeline_tests.studio.browser import free_port, wait_until


@contextlib.contextmanager
def running_annotate(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command on an empty home, and its address once it answers; what it prints is in output.txt."""
    port = free_port()
    command = ["annotate", *arguments, "--home", str(folder / "home"), "--port", str(port)]
    output = (folder / "output.txt").open("w")
    # Whoever runs the tests in the background has Ctrl-C ignored, and would hand that down.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        [sys.executable, "-m", "sa_pipeline.cli", *command], stdout=output, stderr=output, preexec_fn=heed
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(address) or process.poll() is not None, "the server's start", 300)
        yield process, address
    finally:
        process.kill()
        process.wait()
        output.close()


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/api/health").is_success
    except httpx.TransportError:
        return False


def sign_in(folder: Path, address: str) -> httpx.Client:
    """The lead, by the token that the command printed."""
    printed = (folder / "output.txt").read_text()
    token = re.search(rf"{address}/#token=(\S+)", printed)
    assert token, printed
    return httpx.Client(base_url=f"{address}/api", headers={"Authorization": f"Bearer {token[1]}"})


def test_from_an_empty_folder_to_a_task_with_an_embedding_and_its_decoder(tmp_path) -> None:
    with running_annotate(tmp_path) as (process, address):
        client = sign_in(tmp_path, address)
        assert "Round assisted-1: 6 open." in (tmp_path / "output.txt").read_text()
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


def test_a_dataset_in_a_bucket_is_annotated_with_its_pictures_and_embeddings(
    studio_dataset, tmp_path, s3, monkeypatch
) -> None:
    for path in studio_dataset.home.rglob("*"):
        if path.is_file():
            s3.write(f"ds/{path.relative_to(studio_dataset.home).as_posix()}", path.read_bytes())
    monkeypatch.setenv(STORAGE_VARIABLE, f"{s3.url}/ds")
    here = tmp_path / "here"
    here.mkdir()
    with running_annotate(here) as (process, address):
        client = sign_in(here, address)
        assert client.get("/health").json()["tasks"] == 4
        image = client.post("/tasks/lease").json()["task"]["image"]
        stored = Pictures(studio_dataset)
        picture = client.get(image["picture_url"].removeprefix("/api"))
        assert picture.content == stored.jpeg(image["image_id"])
        embedding = client.get(image["embedding_url"].removeprefix("/api"))
        assert embedding.content == stored.embedding(image["image_id"], image["checkpoint_digest"]).tobytes()
        model = client.get(f"/models/{image['checkpoint_digest']}").json()
        assert client.get(model["decoder_url"].removeprefix("/api")).is_success
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert "Traceback" not in (here / "output.txt").read_text()
    assert {path.name for path in (here / "home").iterdir()} == {"cache", "dagster", "studio"}


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
