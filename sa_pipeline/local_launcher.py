"""Dagster's run launcher for one machine."""

import json

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

from sa_pipeline.processes import is_running
from sa_pipeline.run_history import worker_pid


class LocalRunLauncher(dg.DefaultRunLauncher):
    """`DefaultRunLauncher`, whose runs Dagster's run monitoring can look at.

    Otherwise only the code server that started a run would notice that its process is gone. That server ends with its
    daemon, and stops to look once Dagster's database has failed it; the run would count as started for good.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        """True."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Looks whether the run's process exists; of another machine's it is believed."""
        server = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
        pid = worker_pid(self._instance, run.run_id) if server.get("host") == "localhost" else None
        if pid is None or is_running(pid):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"Process {pid} of this run is gone.")
