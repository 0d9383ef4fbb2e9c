"""A run that was interrupted and resumed is the run that was not interrupted."""

from itertools import islice
from pathlib import Path

import torch

from sa_pipeline.training.loop import TrainSettings, difficulty_at, load_state, new_state, save_state, train

SMALL = TrainSettings(input_size=64, images=1, prompts=4, refine_every=2, flat_steps=0)


def test_two_steps_and_two_resumed_steps_are_four_steps_bit_for_bit(tmp_path: Path):
    straight = new_state(seed=11)
    whole_log = list(islice(train(straight, SMALL), 4))

    interrupted = new_state(seed=11)
    first_log = list(islice(train(interrupted, SMALL), 2))
    save_state(interrupted, tmp_path / "state.pt")
    resumed = load_state(tmp_path / "state.pt")
    second_log = list(islice(train(resumed, SMALL), 2))

    assert resumed.step == straight.step == 4
    assert [row["loss"] for row in first_log + second_log] == [row["loss"] for row in whole_log]
    for name, value in straight.sam.state_dict().items():
        assert torch.equal(value, resumed.sam.state_dict()[name]), name
    for name, average in straight.average.items():
        assert torch.equal(average, resumed.average[name]), name


def test_scenes_are_flat_first_and_then_ever_harder():
    settings = TrainSettings(flat_steps=10, ramp_steps=20)
    assert [difficulty_at(step, settings) for step in (0, 10, 20, 30, 99)] == [0.0, 0.0, 0.5, 1.0, 1.0]
