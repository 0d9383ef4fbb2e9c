"""Checks pass on a healthy shard, are seen in Dagster, and stop what lies downstream of a fault."""

import dagster as dg
import pytest

from sa_pipeline.artifacts import AssetName, artifact_name, export_tar_name
from sa_pipeline.checks.shard_checks import SHARD_CHECKS
from sa_pipeline.dataset import Dataset, open_dataset, save_config
from sa_pipeline.images.ledger import append_new_images
from sa_pipeline.quality.embeddings import embeddings_complete_and_finite
from sa_pipeline.quality.export import records_valid
from sa_pipeline.runs import ensure_dagster_home, run_shard


@pytest.fixture
def run_dataset(dataset: Dataset) -> Dataset:
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    save_config(dataset)
    return dataset


def test_a_healthy_shard_passes_every_check_and_dagster_shows_them(run_dataset) -> None:
    with ensure_dagster_home(run_dataset) as instance:
        outcome = run_shard(run_dataset, "000000", instance)
        assert outcome.success, outcome.error
        records = instance.get_records_for_run(outcome.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        evaluations = [record.event_log_entry.dagster_event.event_specific_data for record in records.records]
    blocking = {item.check_name: item.passed for item in evaluations if item.severity is dg.AssetCheckSeverity.ERROR}
    assert len(evaluations) == len(SHARD_CHECKS)
    assert all(blocking.values()), blocking
    scores = next(item for item in evaluations if item.check_name == "scores_like_reference")
    assert scores.passed
    assert "there is no reference yet" in scores.description
    assert scores.metadata["histograms"].value.startswith("![](data:image/jpeg;base64,")
    assert "| predicted IoU, shard |" in scores.metadata["quantiles"].value


def test_too_many_rejected_files_stop_the_shard_before_the_model(run_dataset) -> None:
    quality = run_dataset.settings.quality.model_copy(update={"max_rejected_share": 0.0})
    settings = run_dataset.settings.model_copy(update={"quality": quality})
    strict = open_dataset(run_dataset.home, run_dataset.config.model_copy(update={"settings": settings}))
    save_config(strict)
    with ensure_dagster_home(strict) as instance:
        outcome = run_shard(strict, "000000", instance)
    assert not outcome.success
    assert outcome.error == "1 of 3 files rejected, at most 0% expected"
    assert strict.storage.exists(artifact_name(AssetName.RAW_IMAGES, "000000"))
    assert not strict.storage.exists(artifact_name(AssetName.IMAGE_EMBEDDINGS, "000000"))


def test_a_damaged_export_and_a_missing_embedding_are_found(run_dataset) -> None:
    with ensure_dagster_home(run_dataset) as instance:
        assert run_shard(run_dataset, "000000", instance).success
    name = export_tar_name("000000")
    tar = bytearray(run_dataset.storage.read_bytes(name))
    start = tar.index(b'"width":') + len(b'"width":')
    tar[start : start + 1] = b"9"
    run_dataset.storage.write_bytes(name, bytes(tar))
    assert not records_valid(run_dataset, "000000").passed

    from safetensors.numpy import load_file, save_file

    path = run_dataset.home / artifact_name(AssetName.IMAGE_EMBEDDINGS, "000000")
    tensors = load_file(path)
    tensors.popitem()
    save_file(tensors, path)
    outcome = embeddings_complete_and_finite(run_dataset, "000000")
    assert (outcome.passed, dict(outcome.values)["missing"]) == (False, 1)
