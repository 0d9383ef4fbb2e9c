"""Retraining: what a folder of training holds, and that no way of dying changes the weights."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from safetensors.torch import load_file
from segment_anything.build_sam import _build_sam
from typer.testing import CliRunner

from sa_pipeline.annotated.opening import open_annotated
from sa_pipeline.artifacts import CheckpointRef
from sa_pipeline.cli import app
from sa_pipeline.errors import SettingsError
from sa_pipeline.progress import SilentProgress
from sa_pipeline.sam.registry import LoadedModel, load_model
from sa_pipeline.shell_training import run_training, training_settings
from sa_pipeline.training.retrain import retrain
from sa_pipeline.training.samples import AnnotatedScenes
from sa_pipeline.training.settings import TrainingSettings

ASSIGNMENTS = ["input_size=64", "masks=2", "corrections=1", "repeats=1", "save_seconds=0", "learning_rate_images=null"]
STEPS = 8
GIVEN = {"steps": STEPS, "images": 1, "seed": 4}


def start_process(output: Path) -> subprocess.Popen:
    options = [option for assignment in ASSIGNMENTS for option in ("--set", assignment)]
    options += [option for name, value in GIVEN.items() for option in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "sa_pipeline.cli", "train", "drawn", "--output", str(output), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_step(output: Path, step: int, process: subprocess.Popen) -> None:
    log = output / "log.csv"
    while process.poll() is None and not (log.exists() and len(log.read_text().splitlines()) > step):
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()


def test_a_run_that_was_stopped_and_killed_gives_the_weights_of_one_that_was_not(tmp_path: Path):
    broken, straight = tmp_path / "broken", tmp_path / "straight"
    stopped = start_process(broken)
    wait_for_step(broken, 2, stopped)
    stopped.send_signal(signal.SIGTERM)
    said, complaints = stopped.communicate()
    assert stopped.returncode == 130, complaints
    assert "the same command goes on from there" in said
    assert (broken / "weights.safetensors").exists()
    done = len((broken / "log.csv").read_text().splitlines()) - 1
    killed = start_process(broken)
    wait_for_step(broken, done + 2, killed)
    killed.kill()
    killed.communicate()

    settings = training_settings("retrain", ASSIGNMENTS, GIVEN)
    outcomes = [
        run_training("drawn", None, "tiny", settings, output, SilentProgress()) for output in (broken, straight)
    ]
    assert [(outcome.step, outcome.finished) for outcome in outcomes] == [(STEPS, True)] * 2
    assert (broken / "log.csv").read_text() == (straight / "log.csv").read_text()
    resumed, whole = (load_file(outcome.weights) for outcome in outcomes)
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    assert (broken / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert load_model(str(outcomes[0].weights)).ref.architecture == "tiny"


def test_a_folder_of_another_run_is_refused_with_what_differs(tmp_path: Path):
    arguments = ["train", "drawn", "--output", str(tmp_path / "run"), "--steps", "1", "--images", "1"]
    for assignment in ASSIGNMENTS:
        arguments += ["--set", assignment]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    with pytest.raises(SettingsError, match=r"holds a training run with masks = 2, not 3; go on with the same, or"):
        CliRunner().invoke(app, [*arguments, "--set", "masks=3"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("preset", "assignment", "said"),
    [
        ("paper", "maskss=3", "train: maskss: "),
        ("paper", "masks", "--set masks: expected NAME=VALUE"),
        ("paper", "accumulate=3", r"images \(256\) must be a multiple of accumulate \(3\)"),
        ("fast", "masks=3", "choose one of: retrain, paper, automatic"),
    ],
)
def test_wrong_settings_are_named(preset: str, assignment: str, said: str):
    with pytest.raises(SettingsError, match=said):
        training_settings(preset, [assignment], {})


def test_the_learning_rate_follows_the_images_of_a_step():
    assert TrainingSettings().peak_learning_rate == 8e-4
    assert TrainingSettings(images=16).peak_learning_rate == pytest.approx(8e-4 / 16)


small_vit = partial(
    _build_sam, encoder_embed_dim=32, encoder_depth=2, encoder_num_heads=1, encoder_global_attn_indexes=[1]
)


@pytest.fixture
def cat(tmp_path: Path) -> AnnotatedScenes:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    photo = skimage.data.chelsea()
    labels = np.zeros(photo.shape[:2], np.uint8)
    labels[60:240, 100:320], labels[100:140, 150:200] = 1, 2
    cv2.imwrite(str(tmp_path / "images" / "cat.png"), photo[..., ::-1])
    cv2.imwrite(str(tmp_path / "labels" / "cat.png"), labels)
    return AnnotatedScenes(open_annotated(tmp_path / "images", tmp_path / "labels"))


def small_model() -> LoadedModel:
    torch.manual_seed(1)
    return LoadedModel(small_vit(), CheckpointRef(name="small", architecture="vit_b", digest="0" * 64))


SMALL = TrainingSettings(
    steps=4,
    images=1,
    masks=2,
    corrections=1,
    repeats=0,
    learning_rate=2e-3,
    learning_rate_images=None,
    drop_path=0.1,
)


def test_a_vit_learns_an_image_and_its_weights_load_in_segment_anything(cat: AnnotatedScenes, tmp_path: Path):
    model = small_model()
    outcome = retrain(model, cat, "cat", SMALL, tmp_path / "run", SilentProgress())
    rows = np.genfromtxt(tmp_path / "run" / "log.csv", delimiter=",", names=True)
    assert rows["mask_loss"][-1] < 0.9 * rows["mask_loss"][0]

    loaded = small_vit(checkpoint=outcome.weights)
    for name, value in model.sam.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    with pytest.raises(SettingsError, match="input_size: 512 px do not fit vit_b, whose positions are for 1024 px"):
        retrain(model, cat, "cat", SMALL.model_copy(update={"input_size": 512}), tmp_path, SilentProgress())


def test_only_what_is_asked_for_is_trained_and_an_image_is_encoded_once(cat: AnnotatedScenes, tmp_path: Path):
    heads = ("mask_decoder.output_hypernetworks_mlps.0.", "mask_decoder.iou_prediction_head.")
    changes = {"only": heads, "embedded_samples": 1, "jitter": (0.8, 1.2), "input_size": 64}
    settings = SMALL.model_copy(update=changes)
    before = load_model("tiny").sam.state_dict()
    outcome = retrain(load_model("tiny"), cat, "cat", settings, tmp_path / "run", SilentProgress())
    after = load_model(str(outcome.weights)).sam.state_dict()
    moved = {name for name, value in after.items() if not torch.allclose(value, before[name], rtol=1e-3, atol=1e-6)}
    assert all(any(name.startswith(head) for name in moved) for head in heads)
    assert all(name.startswith(heads) for name in moved)
    assert len(list((tmp_path / "run" / "embeddings").iterdir())) == 1


def test_parameters_that_the_model_does_not_have_are_refused(cat: AnnotatedScenes, tmp_path: Path):
    settings = SMALL.model_copy(update={"only": ("mask_decoder.", "decoder."), "input_size": 64})
    with pytest.raises(SettingsError, match=r"only: no parameter's name begins with decoder\."):
        retrain(load_model("tiny"), cat, "cat", settings, tmp_path / "run", SilentProgress())


@pytest.mark.parametrize(
    ("only", "expected"),
    [((), True), (("mask_decoder.",), False), (("mask_decoder.", "image_encoder.neck."), True), (("image",), True)],
)
def test_embeddings_are_kept_where_no_part_of_the_encoder_is_trained(only: tuple[str, ...], expected: bool):
    assert TrainingSettings(only=only).trains_encoder is expected
