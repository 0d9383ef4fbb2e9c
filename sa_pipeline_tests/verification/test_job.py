"""The job `verify_dataset` and its schedule, on a real instance of Dagster."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from sa_pipeline.artifacts import AssetName, artifact_name, export_tar_name
from sa_pipeline.dataset import open_dataset
from sa_pipeline.definitions import defs
from sa_pipeline.resources import DatasetResource
from sa_pipeline.runs import ensure_dagster_home
from sa_pipeline.verification_job import weekly_verification

JOB = "verify_dataset"


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with ensure_dagster_home(open_dataset(home)) as opened:
        yield opened


def run_job(home: Path, instance: dg.DagsterInstance, **config: object) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def(JOB).execute_in_process(
        instance=instance,
        resources={"data": DatasetResource(home=str(home))},
        run_config={"ops": {"verify_files": {"config": config}}},
        raise_on_error=False,
    )


def values(metadata) -> dict[str, object]:
    return {name: value.value for name, value in metadata.items()}


def test_a_dataset_that_is_well_passes_with_its_counts_and_lines_in_the_log(home: Path, instance) -> None:
    result = run_job(home, instance)
    assert result.success
    [output] = [event for event in result.all_events if event.is_successful_output]
    told = values(output.step_output_data.metadata)
    assert (told["place"], told["shards"], told["images"], told["files"]) == (str(home), 2, 3, 16)
    assert [told[kind] for kind in ("damaged", "missing", "stale", "unexplained")] == [0, 0, 0, 0]
    log = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert any(line.startswith("shards: 2 of 2 done in ") for line in log)
    assert "Every digest, record and count is as it was written." in log


def test_a_flipped_byte_fails_the_run_which_names_the_file_and_what_to_do(home: Path, instance) -> None:
    tar = home / export_tar_name("000001")
    data = bytearray(tar.read_bytes())
    data[len(data) // 2] ^= 1
    tar.write_bytes(data)
    (home / artifact_name(AssetName.FILTERED_MASKS, "000000")).unlink()
    result = run_job(home, instance)
    assert not result.success
    [failed] = [event for event in result.all_events if event.is_step_failure]
    told = failed.step_failure_data.user_failure_data
    verdict, missing, damaged = told.description.splitlines()
    assert verdict == "2 faults: 1 damaged, 1 missing."
    assert missing.startswith(f"missing: {home}/filtered_masks/000000.parquet is missing")
    assert damaged.startswith(f"damaged: {tar} ")
    assert damaged.endswith("delete it and run shard 000001 again.")
    assert (values(told.metadata)["damaged"], values(told.metadata)["missing"]) == (1, 1)
    # It would fail the same way again.
    assert not [event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_UP_FOR_RETRY]
    assert run_job(home, instance, shards="000001").success is False
    other = run_job(home, instance, shards="000002")
    [failed] = [event for event in other.all_events if event.is_step_failure]
    assert failed.step_failure_data.user_failure_data.description.startswith("No shard is named 000002; ")


def tick(instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    return weekly_verification(dg.build_schedule_context(instance=instance))


def test_the_schedule_waits_for_an_hour_without_runs_and_asks_once(home: Path, instance) -> None:
    making = instance.create_run_for_job(defs.resolve_job_def("shard_masks"), status=dg.DagsterRunStatus.STARTED)
    waiting = tick(instance)
    assert isinstance(waiting, dg.SkipReason)
    assert "1 runs are in progress" in waiting.skip_message
    instance.report_run_failed(making)
    assert isinstance(tick(instance), dg.RunRequest)
    assert run_job(home, instance).success
    assert isinstance(tick(instance), dg.SkipReason)
