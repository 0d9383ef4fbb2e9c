"""Two runs of one shard at the same time, as after a run that was given up too early."""

import subprocess
import sys

import pytest

from sa_pipeline.runs import ensure_dagster_home
from sa_pipeline_tests.faults.conftest import digests, environment_of, left_aside

RUN = """
import sys
from sa_pipeline.dataset import open_dataset
from sa_pipeline.runs import ensure_dagster_home, run_shard
dataset = open_dataset(sys.argv[1])
with ensure_dagster_home(dataset) as instance:
    print("ready", flush=True)
    sys.stdin.readline()
    outcome = run_shard(dataset, "000000", instance)
sys.exit(outcome.error)
"""


@pytest.mark.parametrize("place", ["local", "s3"])
def test_two_runs_of_a_shard_at_once_make_the_files_of_one(place, request, new_dataset, undisturbed) -> None:
    url = None if place == "local" else f"{request.getfixturevalue('s3').url}/data"
    dataset = new_dataset("home", storage_url=url)
    with ensure_dagster_home(dataset):
        pass  # so that the two do not meet at making Dagster's files
    command = [sys.executable, "-W", "ignore", "-c", RUN, str(dataset.home)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, env=environment_of(dataset), **pipes) for _ in range(2)]
    try:
        for process in both:
            assert process.stdout.readline() == "ready\n"
        for process in both:
            process.stdin.write("go\n")
            process.stdin.flush()
        complaints = [process.communicate()[1] for process in both]
        assert [process.returncode for process in both] == [0, 0], complaints
    finally:
        for process in both:
            process.kill()
    assert digests(dataset, ["000000"]) == digests(undisturbed, ["000000"])
    assert left_aside(dataset) == []
    assert dataset.storage.list("candidate_masks/parts") == []
