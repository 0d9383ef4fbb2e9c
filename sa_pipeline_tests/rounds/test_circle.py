"""benchmarks/circle.py: the circle turned with simulated people, killed on the way and started again."""

import hashlib
import json
import subprocess
import sys
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


@pytest.fixture
def options(tmp_path: Path) -> list[str | Path]:
    """The smallest turn: an assisted and a semi-automatic round of two drawn scenes each, one step of each training."""
    for folder, numbers in (("train", range(4)), ("val", range(4, 5))):
        for name in ("images", "masks"):
            (tmp_path / folder / name).mkdir(parents=True)
        for number in numbers:
            draw(tmp_path / folder, number)
    sizes = {"rounds": 1, "per-round": 2, "steps": 1, "detector-steps": 1, "validated": 1, "segments": 2}
    made: list[str | Path] = ["--output", tmp_path / "turn", "--held-out", str(share_of_one(tmp_path / "train/images"))]
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


def start(options: list[str | Path], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen([sys.executable, CIRCLE, *options], stdout=output, stderr=output)


def test_the_circle_turns_and_goes_on_where_it_was_killed(options, tmp_path) -> None:
    log, figures = tmp_path / "log", tmp_path / "turn" / "figures"
    process = start(options, log)
    first = figures / "assisted-1.json"
    wait_until(lambda: first.exists() or process.poll() is not None, "the first round", 300)
    process.kill()
    process.wait()
    assert first.exists(), log.read_text()
    before = first.read_bytes()

    assert start(options, log).wait(300) == 0, log.read_text()
    assert first.read_bytes() == before
    steps = {path.stem: json.loads(path.read_text()) for path in figures.glob("*.json")}
    assert sorted(steps) == ["assisted-1", "automatic", "semi-1", "start"]
    for name in ("assisted-1", "semi-1"):
        assert steps[name]["images"] == 2
        assert steps[name]["masks"] > 0
        assert 3 < steps[name]["seconds"] < 90
        assert 0 <= steps[name]["ious"]["1"] <= 1
    assert "| semi-1 | 2 |" in log.read_text()

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
