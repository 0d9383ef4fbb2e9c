"""A run that was interrupted and resumed is the run that was not interrupted."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from sa_pipeline.sam.tiny import build_tiny
from sa_pipeline.training.interaction import InteractionSettings
from sa_pipeline.training.loop import (
    OptimizerSettings,
    Phase,
    TrainState,
    learning_rate_at,
    new_state,
    restore_state,
    save_state,
    train,
)
from sa_pipeline.training.samples import DrawnSource

OPTIMIZER = OptimizerSettings(warmup_steps=2)
CLICKS = InteractionSettings(prompts=4, box_share=0.5, corrections=1, repeats=2, nested=True)
PHASES = [
    Phase(3, 64, 1, DrawnSource(96, difficulty=0.0), CLICKS, learning_rate=1e-3),
    Phase(2, 96, 1, DrawnSource(96, difficulty=1.0), CLICKS, learning_rate=1e-3, correct_every=2),
]


def start() -> TrainState:
    torch.manual_seed(11)
    return new_state(build_tiny(), OPTIMIZER, seed=11)


def test_a_run_stopped_in_one_phase_and_resumed_ends_bit_for_bit_as_one_that_was_not(tmp_path: Path):
    straight = start()
    whole_log = list(train(straight, PHASES, OPTIMIZER))

    interrupted = start()
    first_log = list(islice(train(interrupted, PHASES, OPTIMIZER), 2))
    save_state(interrupted, tmp_path / "state.pt")
    resumed = start()
    restore_state(resumed, tmp_path / "state.pt")
    second_log = list(train(resumed, PHASES, OPTIMIZER))

    assert resumed.step == straight.step == 5
    assert [row["loss"] for row in first_log + second_log] == [row["loss"] for row in whole_log]
    for name, value in straight.sam.state_dict().items():
        assert torch.equal(value, resumed.sam.state_dict()[name]), name
    for name, average in straight.average.items():
        assert torch.equal(average, resumed.average[name]), name


def test_the_learning_rate_rises_at_the_start_and_falls_within_a_phase():
    phase = replace(PHASES[0], steps=100, learning_rate=1.0, final_share=0.1)
    rates = [learning_rate_at(step, phase, 0, OptimizerSettings(warmup_steps=10)) for step in range(100)]
    assert rates[0] < rates[5] < rates[9]
    assert max(rates) > 0.95
    assert rates[50] > rates[99]
    assert 0.1 <= rates[99] < 0.11
