"""A disk that takes nothing for a while: full, or read-only."""

import re
import threading

import dagster as dg
import pytest

from sa_pipeline.runs import ensure_dagster_home, run_shard
from sa_pipeline_tests.disks import full, read_only
from sa_pipeline_tests.faults.conftest import PATIENCE_SECONDS, digests, left_aside
from sa_pipeline_tests.studio.browser import wait_until

SHARD = "000000"


@pytest.mark.parametrize(
    ("fault", "reason"), [(full, ".*No space left on device"), (read_only, "Read-only file system")], ids=["full", "ro"]
)
def test_a_run_waits_out_a_disk_that_takes_nothing(fault, reason, small_disk, new_dataset, undisturbed) -> None:
    dataset = new_dataset("home", storage_url=str(small_disk))
    with ensure_dagster_home(dataset) as instance:
        told = []

        def tried_in_vain() -> list[dg.DagsterEvent]:
            events = [
                entry.get_dagster_event()
                for run in instance.get_runs()
                for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY)
            ]
            told.extend(event.step_retry_data.error.cause.message for event in events)
            return events

        def end_the_fault() -> None:
            with fault(small_disk):
                broken.set()
                wait_until(tried_in_vain, "the step to be tried again", PATIENCE_SECONDS)

        broken = threading.Event()
        watcher = threading.Thread(target=end_the_fault)
        watcher.start()
        broken.wait()
        outcome = run_shard(dataset, SHARD, instance)
        watcher.join()
    assert outcome.success, outcome.error
    assert all(re.search(f"{SHARD}.* cannot be written: {reason}", message) for message in told)
    assert digests(dataset, [SHARD]) == digests(undisturbed, [SHARD])
    assert [path.name for path in small_disk.rglob("*") if ".aside-" in path.name] == left_aside(dataset) == []
