"""Two processes under torchrun take the step that one process takes on the images of both."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sa_pipeline_tests.training import two_processes


def load(folder: Path, rank: int) -> dict:
    return torch.load(folder / f"{rank}.pt", weights_only=True)


@pytest.fixture
def alone(tmp_path: Path) -> dict:
    (tmp_path / "alone").mkdir()
    two_processes.main(tmp_path / "alone")
    return load(tmp_path / "alone", 0)


def assert_same_steps(found: dict, expected: dict) -> None:
    first, first_expected = found["gradients"][0], expected["gradients"][0]
    assert first.keys() == first_expected.keys()
    for name, gradient in first_expected.items():
        torch.testing.assert_close(first[name], gradient, rtol=1e-3, atol=1e-5, msg=name)
    for name, value in expected["weights"].items():
        # Adam's first steps have the size of the learning rate, 1e-4, whatever the size of the gradient.
        torch.testing.assert_close(found["weights"][name], value, rtol=0, atol=2e-4, msg=name)


def test_two_processes_hold_the_same_weights_and_take_the_step_of_one(tmp_path: Path, alone: dict):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "sa_pipeline_tests.training.two_processes", str(tmp_path)]
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second = load(tmp_path, 0), load(tmp_path, 1)
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name]), name
    assert_same_steps(first, alone)


def test_a_step_in_two_pieces_is_the_step_in_one(tmp_path: Path, alone: dict):
    two_processes.main(tmp_path, accumulate=2)
    assert_same_steps(load(tmp_path, 0), alone)
