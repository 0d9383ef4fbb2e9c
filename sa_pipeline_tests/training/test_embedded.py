"""A decoder trained alone: its encoder stays as it is, each sample is encoded once, and a stop changes nothing."""

from itertools import islice
from pathlib import Path

import pytest
import torch

from sa_pipeline.sam.tiny import build_tiny
from sa_pipeline.training.embedded import EmbeddedSamples
from sa_pipeline.training.interaction import InteractionSettings
from sa_pipeline.training.loop import OptimizerSettings, Phase, TrainState, new_state, restore_state, save_state, train
from sa_pipeline.training.samples import DrawnSource

HEADS = ("mask_decoder.iou_prediction_head.", "mask_decoder.output_hypernetworks_mlps.2.")
OPTIMIZER = OptimizerSettings(warmup_steps=1)
CORRECTIONS = InteractionSettings(prompts=4, box_share=0.5, corrections=2, repeats=0, nested=True, one_for_boxes=True)


def phases(folder: Path) -> list[Phase]:
    source = DrawnSource(96, difficulty=0.3)
    kept = EmbeddedSamples(folder, source, count=2)
    return [
        Phase(1, 64, 1, source, CORRECTIONS, learning_rate=1e-3),
        Phase(4, 64, 2, source, CORRECTIONS, learning_rate=1e-3, embedded=kept, only=HEADS),
    ]


def start() -> TrainState:
    torch.manual_seed(11)
    return new_state(build_tiny(), OPTIMIZER, seed=11)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainState, list[dict[str, float]], Path]:
    folder = tmp_path_factory.mktemp("embeddings")
    state = start()
    return state, list(train(state, phases(folder), OPTIMIZER)), folder


def test_all_but_the_heads_stays_what_the_phase_before_came_to_and_the_heads_learn(straight):
    trained, log, folder = straight
    before = start()
    list(islice(train(before, phases(folder), OPTIMIZER), 1))
    assert any(not torch.equal(value, before.sam.get_parameter(name)) for name, value in start().sam.named_parameters())
    for name, value in before.sam.state_dict().items():
        assert torch.equal(trained.sam.state_dict()[name], value) is not name.startswith(HEADS), name
    heads = [name for name in before.average if name.startswith(HEADS)]
    assert not any(torch.equal(trained.average[name], before.average[name]) for name in heads)
    assert all(row["refined_iou"] >= 0 for row in log)


def test_a_sample_is_encoded_once(straight):
    _, log, folder = straight
    made = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(made) == 2
    again = list(train(start(), phases(folder), OPTIMIZER))
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == made
    assert [row["loss"] for row in again] == [row["loss"] for row in log]


@pytest.mark.parametrize("stop", [1, 3])
def test_a_run_stopped_and_resumed_ends_as_one_that_was_not(straight, tmp_path: Path, stop: int):
    whole, log, folder = straight
    interrupted = start()
    first = list(islice(train(interrupted, phases(folder), OPTIMIZER), stop))
    save_state(interrupted, tmp_path / "state.pt")
    resumed = start()
    restore_state(resumed, tmp_path / "state.pt")
    rest = list(train(resumed, phases(folder), OPTIMIZER))
    assert [row["loss"] for row in first + rest] == [row["loss"] for row in log]
    for name, average in whole.average.items():
        assert torch.equal(average, resumed.average[name]), name
