"""The circle turned by Dagster's daemon: the sensor `round_done` asks for each step, and people do what is open."""

import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import sqlalchemy as sa

from sa_pipeline.artifacts import RoundAssetName, list_partitions
from sa_pipeline.dataset import Dataset
from sa_pipeline.round_automation import STEPS, round_done
from sa_pipeline.run_history import count_unfinished
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.models import TaskState
from sa_pipeline.studio.schema import tasks
from turning.people import let_people_work
from turning.plan import Plan

_LOOK_SECONDS = 1.0
_DEFINITIONS = ["-m", "sa_pipeline.definitions"]


def turn_by_daemon(dataset: Dataset, instance: dg.DagsterInstance, plan: Plan, folder: Path) -> None:
    """Waits until the last round that is planned has made its weights.

    The daemon is started again whenever it died. Runs are processes of their own and outlive it.

    Raises:
        SystemExit: The sensor cannot be switched on, or people gave up.
    """
    environment = os.environ | {"DAGSTER_HOME": str(dataset.dagster_home), "SA_PIPELINE_HOME": str(dataset.home)}
    command = [sys.executable, "-m", "dagster", "sensor", "start", round_done.name, *_DEFINITIONS]
    if subprocess.run(command, env=environment).returncode != 0:
        raise SystemExit("The sensor could not be switched on.")
    daemon = _start(environment)
    try:
        while not _is_done(dataset, instance):
            if daemon.poll() is not None:
                daemon = _start(environment)
            if _has_work(dataset):
                print(let_people_work(dataset, plan, folder), end="", flush=True)
            time.sleep(_LOOK_SECONDS)
    finally:
        daemon.terminate()
        daemon.wait()


def _start(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "dagster._daemon", "run", *_DEFINITIONS], env=environment)


def _is_done(dataset: Dataset, instance: dg.DagsterInstance) -> bool:
    made = set(list_partitions(dataset.storage, RoundAssetName.SAM_CHECKPOINT))
    planned = {each.name for each in dataset.settings.rounds.next}
    return planned <= made and not count_unfinished(instance, [job.name for job in STEPS])


def _has_work(dataset: Dataset) -> bool:
    studio = open_studio(dataset)
    try:
        with studio.read() as connection:
            ended = [TaskState.ACCEPTED.value, TaskState.SKIPPED.value]
            query = sa.select(sa.func.count()).select_from(tasks).where(tasks.c.state.not_in(ended))
            return bool(connection.execute(query).scalar_one())
    finally:
        studio.close()
