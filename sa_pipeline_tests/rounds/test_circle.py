"""benchmarks/circle.py: the circle turned with simulated people, killed on the way and started again."""

import contextlib
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sa_pipeline.artifacts import RoundAssetName, read_header
from sa_pipeline.checkpoint_history import read_promotions
from sa_pipeline.dataset import open_dataset
from sa_pipeline.detection.record import newest_detector
from sa_pipeline.round_checkpoints import list_made_checkpoints
from sa_pipeline.training.scenes import draw_scene
from sa_pipeline_tests.studio.browser import wait_until

CIRCLE = Path(__file__).parents[2] / "benchmarks" / "circle.py"
SIZE = (160, 200)
"""Height and width of the drawn scenes, px."""

PATIENCE = 900
"""Seconds that a turn may take on a machine with much else to do; alone, it takes a minute or two."""


@pytest.fixture
def options(tmp_path: Path) -> list[str | Path]:
    """The smallest turn: an assisted and a semi-automatic round of two drawn scenes each, one step of each training."""
    for folder, numbers in (("train", range(4)), ("val", range(4, 5))):
        for name in ("images", "masks"):
            (tmp_path / folder / name).mkdir(parents=True)
        for number in numbers:
            draw(tmp_path / folder, number)
    sizes = {"rounds": 1, "per-round": 2, "steps": 1, "detector-steps": 1, "validated": 1, "segments": 2}
    made: list[str | Path] = ["--held-out", str(share_of_one(tmp_path / "train/images"))]
    for name, value in {**sizes, "automatic": 0}.items():
        made += [f"--{name}", str(value)]
    for name, place in (("images", "train"), ("validation", "val")):
        masks = "references" if name == "images" else "validation-references"
        made += [f"--{name}", tmp_path / place / "images", f"--{masks}", tmp_path / place / "masks"]
    return made


def draw(folder: Path, number: int) -> None:
    scene = draw_scene((number,), SIZE, difficulty=0.0)
    labels = np.zeros(SIZE, np.uint8)
    for label, mask in enumerate(scene.masks, 1):
        labels[mask] = label
    Image.fromarray(scene.image).save(folder / "images" / f"{number}.png")
    Image.fromarray(labels).save(folder / "masks" / f"{number}.png")


def share_of_one(folder: Path) -> float:
    """The share of images by which one of the first two is held out, and perhaps others."""
    first_two = sorted(folder.glob("*.png"))[:2]
    return min(int(hashlib.sha256(file.read_bytes()).hexdigest(), 16) / 16**64 for file in first_two) + 1e-6


def start(options: list[str | Path], output: Path) -> subprocess.Popen[bytes]:
    with output.with_suffix(".log").open("ab") as log:
        return subprocess.Popen([sys.executable, CIRCLE, *options, "--output", output], stdout=log, stderr=log)


def kill_when(options: list[str | Path], output: Path, is_there: Callable[[], object], what: str) -> None:
    """Starts the turn, or goes on with it, and kills it as soon as something is there."""
    process = start(options, output)
    wait_until(lambda: is_there() or process.poll() is not None, what, PATIENCE)
    process.kill()
    process.wait()
    assert is_there(), output.with_suffix(".log").read_text()


def kill_studio(process: subprocess.Popen[bytes], home: Path) -> None:
    """Kills the studio's server of a turn as soon as somebody has saved something."""
    wait_until(lambda: process.poll() is not None or events_in(home), "a first change", PATIENCE)
    server = subprocess.check_output(["pgrep", "-P", str(process.pid), "-f", str(home)], text=True)
    os.kill(int(server), signal.SIGKILL)


def events_in(home: Path) -> bool:
    database = home / "studio" / "studio.sqlite"
    if not database.exists():
        return False
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute("select count(*) from events").fetchone()[0] > 0
        except sqlite3.OperationalError:
            return False


def test_the_circle_turns_and_ends_alike_however_it_was_killed(options, tmp_path) -> None:
    turn = tmp_path / "turn"
    figures, log = turn / "figures", turn.with_suffix(".log")
    first, work = figures / "assisted-1.json", turn / "home" / "retraining"
    process = start(options, turn)
    kill_studio(process, turn / "home")
    wait_until(lambda: list(work.glob("assisted-1-*/state.pt")) or process.poll() is not None, "the training", PATIENCE)
    process.kill()
    process.wait()
    kill_when(options, turn, first.exists, "the first round")
    before = first.read_bytes()

    assert start(options, turn).wait(PATIENCE) == 0, log.read_text()
    assert first.read_bytes() == before
    steps = {path.stem: json.loads(path.read_text()) for path in figures.glob("*.json")}
    assert sorted(steps) == ["assisted-1", "automatic", "semi-1", "semi-1-nothing-pre-filled", "start"]
    for name in ("assisted-1", "semi-1"):
        assert steps[name]["images"] == 2
        assert steps[name]["masks"] > 0
        assert 3 < steps[name]["seconds"] < 90
        assert 0 <= steps[name]["ious"]["1"] <= 1
    assert "| semi-1 | 2 |" in log.read_text()
    assert "| step | one click | 95 % | change | 95 % |" in log.read_text()

    dataset = open_dataset(tmp_path / "turn" / "home")
    records = {record.header.partition: record for record in list_made_checkpoints(dataset.storage)}
    assert sorted(records) == ["assisted-1", "semi-1"]
    if records["assisted-1"].promoted:
        assert records["semi-1"].parent.digest == records["assisted-1"].checkpoint.digest
        assert "assisted-1" in {change.round for change in read_promotions(dataset.storage).changes}
    detector = newest_detector(dataset.storage)
    assert detector is not None
    assert detector.rounds == ("assisted-1",)
    assert read_header(dataset.storage, RoundAssetName.PREFILLED_MASKS, "semi-1") is not None
    assert (dataset.home / "cards").is_dir()

    twin = tmp_path / "twin"
    assert start(options, twin).wait(PATIENCE) == 0, twin.with_suffix(".log").read_text()
    compared = subprocess.run([sys.executable, CIRCLE, "--compare", turn, twin], capture_output=True, text=True)
    assert compared.returncode == 0, compared.stdout
    (twin / "home" / "training_set" / "semi-1.parquet").write_bytes(
        (twin / "home" / "training_set" / "assisted-1.parquet").read_bytes()
    )
    compared = subprocess.run([sys.executable, CIRCLE, "--compare", turn, twin], capture_output=True, text=True)
    assert compared.returncode == 1
    assert "home/training_set/semi-1.parquet: " in compared.stdout
