"""What the run launcher does while Ray does not answer."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import LaunchRunContext

from sa_pipeline.definitions import defs
from sa_pipeline.ray_launcher import ShardRunLauncher
from sa_pipeline_tests.ray_cluster import free_ports

JOB = "shard_masks"


@pytest.mark.parametrize("tags", [{"dagster/partition": "000000"}, {}], ids=["of a shard", "of anything else"])
def test_runs_go_back_into_the_queue_while_the_head_is_gone(tags: dict[str, str], tmp_path: Path) -> None:
    (port,) = free_ports(1)
    launcher = ShardRunLauncher(address=f"http://127.0.0.1:{port}", num_cpus=1)
    repository = ReconstructableRepository.for_module("sa_pipeline.definitions", "defs", None)
    origin = repository.get_reconstructable_job(JOB).get_python_origin()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        launcher.register_instance(instance)
        run = instance.create_run_for_job(defs.resolve_job_def(JOB), tags=tags, job_code_origin=origin)
        # Dagster's queue takes back what ends with this error, and fails a run with any other.
        with pytest.raises(DagsterUserCodeUnreachableError, match="does not answer"):
            launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
