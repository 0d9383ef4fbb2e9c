"""The circle by itself: what the sensor asks for, tick by tick, and that it asks for each thing once."""

from collections.abc import Iterator

import dagster as dg
import pytest
from typer.testing import CliRunner

from sa_pipeline.cli import app
from sa_pipeline.dataset import Dataset, open_dataset, save_config
from sa_pipeline.definitions import defs
from sa_pipeline.promotion import ref_in_use
from sa_pipeline.resources import DatasetResource
from sa_pipeline.round_automation import RUN_KEY, round_done
from sa_pipeline.runs import ensure_dagster_home
from sa_pipeline.sam.registry import checkpoint_ref
from sa_pipeline.settings import DetectorSettings, PlannedRound
from sa_pipeline.stages.prefilled_images import prefilled_images
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.decoder import has_decoder
from sa_pipeline.studio.models import Stage, TaskState
from sa_pipeline.studio.rounds import Round, find_round
from sa_pipeline.studio.standing import standing
from sa_pipeline_tests.rounds.conftest import PHOTOGRAPHS, held_out_names, import_accepted

PLAN = (PlannedRound(name="assisted-2", max_images=1),)


@pytest.fixture
def planned(rounds_dataset: Dataset) -> Dataset:
    rounds = rounds_dataset.settings.rounds.model_copy(update={"next": PLAN})
    settings = rounds_dataset.settings.model_copy(update={"rounds": rounds})
    dataset = open_dataset(rounds_dataset.home, rounds_dataset.config.model_copy(update={"settings": settings}))
    save_config(dataset)
    return dataset


@pytest.fixture
def instance(planned: Dataset) -> Iterator[dg.DagsterInstance]:
    with ensure_dagster_home(planned) as opened:
        yield opened


def tick(dataset: Dataset, instance: dg.DagsterInstance) -> list[dg.RunRequest] | str:
    context = dg.build_sensor_context(instance=instance, resources={"data": DatasetResource(home=str(dataset.home))})
    found = round_done(context)
    if isinstance(found, dg.SkipReason):
        return str(found.skip_message)
    for added in found.dynamic_partitions_requests:
        instance.add_dynamic_partitions(added.partitions_def_name, added.partition_keys)
    return list(found.run_requests)


def run(dataset: Dataset, instance: dg.DagsterInstance, request: dg.RunRequest) -> bool:
    """What the daemon does with a request, in this process: it starts each key once, whatever the job."""
    assert not instance.get_runs_count(dg.RunsFilter(tags={RUN_KEY: request.run_key})), request.run_key
    result = defs.resolve_job_def(request.job_name).execute_in_process(
        instance=instance,
        partition_key=request.partition_key,
        run_config=request.run_config,
        tags={RUN_KEY: request.run_key},
        resources={"data": DatasetResource(home=str(dataset.home))},
        raise_on_error=False,
    )
    return result.success


def round_of(dataset: Dataset, name: str) -> Round:
    studio = open_studio(dataset)
    with studio.read() as connection:
        found = find_round(connection, name)
    studio.close()
    assert found is not None
    return found


def prepared_with(dataset: Dataset, round_name: str) -> str:
    """Digest of the weights that a round's tasks were prepared with."""
    studio = open_studio(dataset)
    (digest,) = standing(studio, round_name).prepared_with
    studio.close()
    return digest


def test_a_round_that_is_done_leads_to_weights_to_embeddings_and_to_the_next_queue(planned, instance) -> None:
    held_out = held_out_names(planned)
    import_accepted(planned, "assisted-1", sorted({*PHOTOGRAPHS[:2], *held_out}))
    (first,) = tick(planned, instance)
    assert (first.job_name, first.partition_key) == ("retrain_round", "assisted-1")
    assert tick(planned, instance)[0].run_key == first.run_key  # a second tick, or one after a restart
    assert run(planned, instance, first)
    assert ref_in_use(planned).name == "assisted-1"

    embed = tick(planned, instance)
    assert [(each.job_name, each.partition_key) for each in embed] == [
        ("shard_embeddings", "000000"),
        ("shard_embeddings", "000001"),
    ]
    assert [run(planned, instance, each) for each in embed] == [True, True]
    (fill,) = tick(planned, instance)
    assert (fill.job_name, fill.partition_key) == ("fill_round", "assisted-2")
    assert run(planned, instance, fill)
    opened = round_of(planned, "assisted-2")
    assert (opened.images, opened.tasks) == (1, {TaskState.OPEN: 1})
    assert prepared_with(planned, "assisted-2") == ref_in_use(planned).digest
    assert has_decoder(planned, ref_in_use(planned).digest)
    assert tick(planned, instance) == "People are at work on assisted-2."
    assert instance.get_dynamic_partitions("annotation_rounds") == ["assisted-1", "assisted-2"]

    home = ["--home", str(planned.home)]
    shown = CliRunner().invoke(app, ["rounds", "show", "assisted-1", *home])
    assert shown.exit_code == 0, shown.output
    assert "not worse, in use" in shown.output
    assert "assisted-2" in CliRunner().invoke(app, ["rounds", "list", *home]).output
    closed = CliRunner().invoke(app, ["rounds", "close", "assisted-2", *home])
    assert closed.exit_code == 0, closed.output
    assert "Round assisted-2 is closed: 1 skipped." in closed.output
    assert tick(planned, instance) == "Every round that is done has led on, and rounds.next plans no other."


def test_weights_that_are_refused_do_not_stop_the_circle_and_a_failed_run_does(planned, instance) -> None:
    names = sorted(set(PHOTOGRAPHS) - held_out_names(planned))
    import_accepted(planned, "assisted-1", names[:1])
    (first,) = tick(planned, instance)
    # Nothing held out is annotated yet: the weights are made and refused, and the next round begins with those before.
    assert not run(planned, instance, first)
    assert ref_in_use(planned) == checkpoint_ref("tiny")
    (fill,) = tick(planned, instance)
    assert (fill.job_name, fill.partition_key) == ("fill_round", "assisted-2")

    planned.storage.remove("sam_checkpoint")
    asked = tick(planned, instance)
    assert asked == "The run retrain_round of round assisted-1 failed or was stopped; start it again when it may go on."


def test_while_a_step_runs_nothing_else_is_asked_for(planned, instance) -> None:
    import_accepted(planned, "assisted-1", PHOTOGRAPHS[:1])
    instance.create_run_for_job(
        defs.resolve_job_def("retrain_round"),
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": "assisted-1"},
    )
    assert tick(planned, instance) == "1 runs are in progress."


def test_a_round_is_opened_from_the_shell_with_embeddings_by_the_weights_in_use(planned, instance) -> None:
    planned.storage.remove("image_embeddings")
    home = ["--home", str(planned.home)]
    opened = CliRunner().invoke(app, ["rounds", "open", "assisted-1", "--max-images", "2", "--seed", "3", *home])
    assert opened.exit_code == 0, opened.output
    assert "Round assisted-1: 2 images; 2 open." in opened.output
    again = CliRunner().invoke(app, ["rounds", "open", "assisted-1", "--max-images", "2", "--seed", "3", *home])
    assert "Round assisted-1: 2 images; 2 open." in again.output


def test_a_semi_automatic_round_is_opened_with_the_masks_of_a_detector_that_is_trained_first(planned, instance) -> None:
    detector = DetectorSettings(input_size=64, max_input_size=64, jitter=(1.0, 1.0), steps=1, images=1)
    rounds = planned.settings.rounds.model_copy(
        update={"next": (PlannedRound(name="semi-1", stage="semi_automatic", max_images=1),)}
    )
    settings = planned.settings.model_copy(update={"rounds": rounds, "detector": detector})
    dataset = open_dataset(planned.home, planned.config.model_copy(update={"settings": settings}))
    save_config(dataset)
    names = sorted(set(PHOTOGRAPHS) - held_out_names(dataset))
    import_accepted(dataset, "assisted-1", names[:1])
    (retrain,) = tick(dataset, instance)
    assert not run(dataset, instance, retrain)  # nothing held out is annotated: the weights stay those of before
    asked = []
    while isinstance(requests := tick(dataset, instance), list):
        asked += [(each.job_name, each.partition_key) for each in requests]
        assert all(run(dataset, instance, each) for each in requests)
    assert asked == [("round_detector", "assisted-1"), ("prefill_round", "semi-1"), ("fill_round", "semi-1")]
    assert requests == "People are at work on semi-1."
    opened = round_of(dataset, "semi-1")
    assert (opened.stage, opened.images) == (Stage.SEMI_AUTOMATIC, 1)
    assert len(prefilled_images(dataset, "semi-1")) == 1
