"""A clock that jumps under a run."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sa_pipeline_tests.faults.conftest import PATIENCE_SECONDS, digests, environment_of, left_aside
from sa_pipeline_tests.studio.browser import wait_until

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


@pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed (Debian's package libfaketime)")
@pytest.mark.parametrize("jump", ["+30d", "-30d"])
def test_a_run_does_not_mind_a_clock_that_jumps(jump, new_dataset, undisturbed, tmp_path) -> None:
    dataset = new_dataset("home")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    faked = {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    faked["DONT_FAKE_MONOTONIC"] = faked["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
    command = [sys.executable, "-m", "sa_pipeline.cli", "run", str(dataset.config.source), "--output", dataset.home]
    environment = environment_of(dataset) | faked
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            list(map(str, command)), env=environment, stdout=said, stderr=said, start_new_session=True
        )
    try:
        begun = dataset.home / "image_embeddings" / "000000.safetensors"
        wait_until(lambda: begun.exists() or process.poll() is not None, "the first shard", PATIENCE_SECONDS)
        clock.write_text(jump)
        process.wait()
    finally:
        # The library keeps the `tail` by which Dagster copies a run's output from heeding its end.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, (tmp_path / "said").read_text()
    assert "3 images" in (tmp_path / "said").read_text()
    assert digests(dataset) == digests(undisturbed)
    assert left_aside(dataset) == []
