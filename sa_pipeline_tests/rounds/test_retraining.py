"""From a round's masks to weights in use: retrained, compared, promoted, gone back; killed and gone on with."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from sa_pipeline.artifacts import AssetName, RoundAssetName, read_header
from sa_pipeline.catalog.build import build_catalog
from sa_pipeline.catalog.query import query
from sa_pipeline.checkpoint_history import promotion_in_use
from sa_pipeline.cli import app
from sa_pipeline.dataset import Dataset, open_dataset, save_config
from sa_pipeline.errors import CheckpointError
from sa_pipeline.promotion import checkpoint_in_use, find_weights, promote, ref_in_use
from sa_pipeline.provenance import Freshness, shard_freshness
from sa_pipeline.resources import DatasetResource
from sa_pipeline.round_checkpoints import RoundCheckpoint, read_round_checkpoint
from sa_pipeline.runs import RunOutcome, ensure_dagster_home, put_into_use, run_embeddings, run_retraining
from sa_pipeline.sam.registry import checkpoint_path, checkpoint_ref
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline_tests.rounds.conftest import PHOTOGRAPHS, TRAINING, held_out_names, import_accepted


def with_rounds(dataset: Dataset, **changes: object) -> Dataset:
    """The dataset with other settings of its rounds, saved."""
    rounds = dataset.settings.rounds.model_copy(update=changes)
    settings = dataset.settings.model_copy(update={"rounds": rounds})
    changed = open_dataset(dataset.home, dataset.config.model_copy(update={"settings": settings}))
    save_config(changed)
    return changed


def retrain(dataset: Dataset, round_name: str) -> RunOutcome:
    with ensure_dagster_home(dataset) as instance:
        return run_retraining(dataset, round_name, instance)


def record(dataset: Dataset, round_name: str) -> RoundCheckpoint:
    made = read_round_checkpoint(dataset.storage, round_name)
    assert made is not None
    return made


def test_a_round_is_retrained_compared_and_promoted_and_embeddings_become_stale(rounds_dataset) -> None:
    dataset = rounds_dataset
    import_accepted(dataset, "assisted-1")
    with ensure_dagster_home(dataset) as instance:
        assert run_embeddings(dataset, "000000", instance).success
        outcome = run_retraining(dataset, "assisted-1", instance)
        assert outcome.success, outcome.error
        event = instance.get_latest_materialization_event(dg.AssetKey("sam_checkpoint"))
        metadata = event.asset_materialization.metadata
        observed = instance.fetch_observations(dg.AssetKey("current_checkpoint"), limit=1).records[0].asset_observation
    made = record(dataset, "assisted-1")
    assert made.parent == checkpoint_ref("tiny")
    assert (made.images, made.steps) == (3, TRAINING["steps"])
    assert made.header.inputs["parent"] == made.parent.digest
    assert (
        made.header.inputs["training_set"]
        == read_header(dataset.storage, RoundAssetName.TRAINING_SET, "assisted-1").content_digest
    )
    evaluation = made.evaluation
    assert (evaluation.images, evaluation.rounds) == (1, ("assisted-1",))
    assert set(evaluation.new.clicks) == {1, 2, 3, 5, 9}
    assert evaluation.parent.clicks[1] == pytest.approx(evaluation.new.clicks[1], abs=0.05)
    assert evaluation.parent.best_of_three >= evaluation.parent.clicks[1]
    assert metadata["iou_new_1"].value == round(evaluation.new.clicks[1], 4)
    assert metadata["curves"].value.startswith("![](data:image/jpeg;base64,")
    assert observed.tags["dagster/data_version"] == made.checkpoint.digest

    assert ref_in_use(dataset) == made.checkpoint
    assert DatasetResource(home=str(dataset.home)).checkpoint().digest == made.checkpoint.digest
    states = shard_freshness(dataset, "000000", ref_in_use(dataset))
    assert (states[AssetName.RAW_IMAGES], states[AssetName.IMAGE_EMBEDDINGS]) == (Freshness.FRESH, Freshness.STALE)
    assert list((dataset.home / "retraining").iterdir()) == []

    # Made once more, nothing is trained, although the weights in use are its own by now.
    assert retrain(dataset, "assisted-1").success
    assert record(dataset, "assisted-1") == made


def test_the_next_round_starts_from_the_promoted_weights_and_asks_for_embeddings_by_them(rounds_dataset) -> None:
    dataset = rounds_dataset
    import_accepted(dataset, "assisted-1", sorted({*PHOTOGRAPHS[:2], *held_out_names(dataset)}))
    assert retrain(dataset, "assisted-1").success
    first = record(dataset, "assisted-1").checkpoint
    studio = open_studio(dataset)
    report = fill_queue(studio, "assisted-2")
    assert report.counts["tasks"] == 0
    assert "assisted-1" in report.passed_over["000000"]
    studio.close()

    import_accepted(dataset, "assisted-3")
    assert retrain(dataset, "assisted-3").success
    third = record(dataset, "assisted-3")
    assert third.parent == first
    assert third.evaluation.rounds == ("assisted-1", "assisted-3")
    build_catalog(dataset)
    chain = query(
        dataset,
        "select r.round, r.parent_digest, r.in_use, r.promoted, r.iou_1_click > 0 as measured, count(*) as masks "
        "from checkpoint_rounds r join training_masks t using (checkpoint_digest) join human_masks using (mask_id) "
        "where t.split = 'train' group by all order by 1",
    )
    assert chain.drop(columns="masks").values.tolist() == [
        ["assisted-1", checkpoint_ref("tiny").digest, False, True, True],
        ["assisted-3", first.digest, True, True, True],
    ]
    assert chain["masks"].tolist() == [record(dataset, name).masks for name in ("assisted-1", "assisted-3")]


def test_weights_that_got_worse_are_refused_and_may_be_promoted_by_a_person_only(rounds_dataset) -> None:
    dataset = with_rounds(rounds_dataset, training=TRAINING | {"learning_rate": 0.3, "steps": 2, "warmup_steps": 1})
    import_accepted(dataset, "assisted-1")
    outcome = retrain(dataset, "assisted-1")
    assert not outcome.success
    assert "The weights of round assisted-1 are not promoted: on " in outcome.error
    assert "of IoU lost against parent, 1 click" in outcome.error
    assert not record(dataset, "assisted-1").promoted
    assert ref_in_use(dataset) == checkpoint_ref("tiny")
    with pytest.raises(
        CheckpointError, match=r"To use them all the same: sa-pipeline rounds promote assisted-1 --alth"
    ):
        promote(dataset, "assisted-1")
    run = CliRunner()
    home = ["--home", str(dataset.home)]
    done = run.invoke(app, ["rounds", "promote", "assisted-1", "--although-worse", *home])
    assert done.exit_code == 0, done.output
    assert ref_in_use(dataset) == record(dataset, "assisted-1").checkpoint
    assert run.invoke(app, ["rounds", "promote", "--start", *home]).exit_code == 0
    assert ref_in_use(dataset) == checkpoint_ref("tiny")


def test_an_earlier_rounds_weights_can_be_used_again_whatever_was_retrained_since(rounds_dataset) -> None:
    dataset = rounds_dataset
    import_accepted(dataset, "assisted-1")
    assert retrain(dataset, "assisted-1").success
    first = record(dataset, "assisted-1")
    import_accepted(dataset, "assisted-2")
    assert retrain(dataset, "assisted-2").success
    assert ref_in_use(dataset).name == "assisted-2"
    changed = with_rounds(dataset, training=TRAINING | {"steps": 1})
    assert retrain(changed, "assisted-1").success
    again = record(changed, "assisted-1")
    assert again.checkpoint.digest != first.checkpoint.digest
    assert again.parent == checkpoint_ref("tiny")
    assert again.evaluation.in_use is not None
    assert checkpoint_ref(find_weights(changed, first.checkpoint)).digest == first.checkpoint.digest
    with ensure_dagster_home(changed) as instance:
        put_into_use(changed, "assisted-2", instance)
    assert ref_in_use(changed).digest == record(changed, "assisted-2").checkpoint.digest
    # Naming another start in the settings leaves the chain, and naming the first one comes back to it.
    other = changed.config.model_copy(
        update={"settings": changed.settings.model_copy(update={"checkpoint": checkpoint_in_use(changed)})}
    )
    assert promotion_in_use(open_dataset(changed.home, other)) is None
    with pytest.raises(CheckpointError, match="Round assisted-9 has no weights; there are some of: assisted-1, assis"):
        promote(changed, "assisted-9")


def test_a_round_whose_encoder_grows_starts_from_its_own_checkpoint_and_is_held_against_both(
    rounds_dataset, tmp_path
) -> None:
    start = tmp_path / "grown.safetensors"
    tensors = load_file(checkpoint_path("tiny"))
    name = next(name for name in tensors if name.endswith("iou_prediction_head.layers.2.bias"))
    save_file(tensors | {name: tensors[name] + 0.01}, start)
    dataset = with_rounds(rounds_dataset, encoders={"assisted-1": str(start)})
    import_accepted(dataset, "assisted-1")
    assert retrain(dataset, "assisted-1").success
    made = record(dataset, "assisted-1")
    assert made.parent == checkpoint_ref(str(start))
    assert made.evaluation.in_use is not None
    assert set(made.evaluation.losses()) == {
        f"{name}, {what}" for name in ("parent", "in_use") for what in ("1 click", "mean over clicks")
    }


KILLED = """
import sys
from sa_pipeline.dataset import open_dataset
from sa_pipeline.runs import ensure_dagster_home, run_retraining
dataset = open_dataset(sys.argv[1])
with ensure_dagster_home(dataset) as instance:
    run_retraining(dataset, "assisted-1", instance)
"""


def test_a_killed_run_goes_on_and_ends_with_the_weights_of_one_that_was_not(embedded_home, tmp_path) -> None:
    recipe = TRAINING | {"steps": 5, "learning_rate": 1e-6, "save_seconds": 0}
    broken, straight = (with_rounds(embedded_home(tmp_path / name), training=recipe) for name in ("broken", "straight"))
    for dataset in (broken, straight):
        import_accepted(dataset, "assisted-1")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(broken.home)], env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    while process.poll() is None and not any(_steps(log) >= 2 for log in broken.home.glob("retraining/*/log.csv")):
        time.sleep(0.02)
    assert process.poll() is None, "training was over before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    (log,) = broken.home.glob("retraining/*/log.csv")
    assert 2 <= _steps(log) < 5
    assert ref_in_use(broken) == checkpoint_ref("tiny")
    assert all(retrain(dataset, "assisted-1").success for dataset in (broken, straight))
    one, other = (record(dataset, "assisted-1") for dataset in (broken, straight))
    assert one.checkpoint == other.checkpoint
    assert one.evaluation == other.evaluation
    assert ref_in_use(broken) == ref_in_use(straight)


def _steps(log: Path) -> int:
    return len(log.read_text().splitlines()) - 1


def test_without_a_held_out_mask_nothing_is_promoted_and_the_reason_is_told(rounds_dataset) -> None:
    dataset = rounds_dataset
    names = sorted(set(PHOTOGRAPHS) - held_out_names(dataset))
    import_accepted(dataset, "assisted-1", names)
    outcome = retrain(dataset, "assisted-1")
    assert not outcome.success
    assert "no accepted mask lies on a held-out image" in outcome.error
    held_out = with_rounds(dataset, held_out_share=0.999)
    assert "has no mask to train on" in retrain(held_out, "assisted-1").error
