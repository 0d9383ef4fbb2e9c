"""Dagster's run launcher for a Ray cluster: shards on its workers, all other runs on its head."""

from typing import Any

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import LaunchRunContext
from dagster_ray.core.run_launcher import RayRunLauncher

from sa_pipeline.run_history import shard_of


class ShardRunLauncher(RayRunLauncher):
    """`dagster_ray.RayRunLauncher`, which makes each run a job of Ray, with two rules of our own.

    What the launcher's settings ask for (CPUs, GPUs, memory) is asked for runs of shards. All others (the catalogue,
    rounds of annotation) ask for nothing, and Ray starts them on its head, beside the dataset's home. The tag
    `dagster-ray/config` of a run goes before either.

    While the head does not answer, runs go back into Dagster's queue instead of failing one after another; `run_queue`
    of `dagster.yaml` says how often and after how many seconds.
    """

    def __init__(self, **settings: Any) -> None:
        """Takes the settings of `RayRunLauncher`."""
        super().__init__(**settings)
        required = ("num_cpus", "num_gpus", "memory", "resources", "inst_data")
        self._on_head = RayRunLauncher(**{key: value for key, value in settings.items() if key not in required})

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Takes the instance whose runs are launched."""
        super().register_instance(instance)
        self._on_head.register_instance(instance)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Submits a run to Ray.

        Raises:
            DagsterUserCodeUnreachableError: The head does not answer; Dagster puts the run back into its queue.
        """
        launch = super().launch_run if shard_of(context.dagster_run) is not None else self._on_head.launch_run
        try:
            launch(context)
        except OSError as error:
            raise DagsterUserCodeUnreachableError(f"Ray at {self.address} does not answer: {error}") from error
