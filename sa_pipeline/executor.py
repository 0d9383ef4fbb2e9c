"""Dagster's in-process executor, whose runs are started again when it was Dagster that failed and not a step."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.executor_definition import IN_PROC_CONFIG
from dagster._core.events import DagsterEvent
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.objects import ErrorSource
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig
from dagster._core.executor.in_process import InProcessExecutor


class DagsterFaultError(Exception):
    """Dagster could not do its own part of a step, as when its database is gone for a moment."""


class FaultTellingExecutor(InProcessExecutor):
    """Executes all steps in this process, and gives the run up when Dagster itself fails in one.

    Dagster counts that as a failure of the step, for which `run_retries` of `dagster.yaml` starts no run again, and the
    step's own retries do not see it. A run that was given up is started again.
    """

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Executes the plan.

        Raises:
            DagsterFaultError: Something failed within a step that is neither of ours nor known to Dagster.
        """
        for event in super().execute(plan_context, execution_plan):
            yield event
            if event.is_step_failure and event.step_failure_data.error_source is ErrorSource.UNEXPECTED_ERROR:
                error = event.step_failure_data.error
                raise DagsterFaultError(f"Step {event.step_key}: {error.message if error else 'unknown'}")


@dg.executor(name=dg.in_process_executor.name, config_schema=IN_PROC_CONFIG)
def in_process_executor(context: dg.InitExecutorContext) -> FaultTellingExecutor:
    """Dagster's of the same name, but that runs in which Dagster itself failed are started again."""
    config: Mapping[str, Any] = context.executor_config
    return FaultTellingExecutor(
        RetryMode.from_config(config["retries"]) or RetryMode.ENABLED,
        StepDependencyConfig.from_config(config.get("step_dependency_config")),
    )
