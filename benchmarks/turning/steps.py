"""The steps of a turn, each done once: what is there already is not made again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from simulation.truth import Truth

from sa_pipeline.annotated.image import AnnotatedImage, AnnotatedSource
from sa_pipeline.annotated.opening import open_annotated
from sa_pipeline.artifacts import AssetName, read_header
from sa_pipeline.assets.annotation_tasks import AnnotationTasksConfig
from sa_pipeline.assets.prefilled_masks import PrefilledMasksConfig
from sa_pipeline.dataset import Dataset
from sa_pipeline.detection.record import read_detector_record
from sa_pipeline.evaluation.held_out import ClickIous, ClickSettings, click_ious
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.progress import Progress
from sa_pipeline.promotion import checkpoint_in_use, find_weights, ref_in_use
from sa_pipeline.provenance import Freshness, shard_freshness
from sa_pipeline.round_checkpoints import read_round_checkpoint
from sa_pipeline.runs import (
    RunOutcome,
    run_catalog,
    run_detector,
    run_embeddings,
    run_fill,
    run_prefill,
    run_retraining,
    run_shard,
)
from sa_pipeline.sam.registry import load_model
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.models import Stage, TaskState
from sa_pipeline.studio.prefilling import PrefillFrom
from sa_pipeline.studio.schema import tasks
from turning.beside import Beside, do_again
from turning.figures import Figures, find, keep, of_people
from turning.people import let_people_work
from turning.plan import Plan


@dataclass(frozen=True)
class Turn:
    """A turn under way."""

    plan: Plan
    folder: Path
    dataset: Dataset
    instance: dg.DagsterInstance
    progress: Progress

    def shard(self, number: int) -> str:
        """Name of a shard.

        Raises:
            SystemExit: There are too few photographs.
        """
        shards = list_shards(self.dataset.storage)
        if number >= len(shards):
            raise SystemExit(f"There are {len(shards)} shards of {self.plan.per_round}; this turn wants more.")
        return shards[number]

    def begin(self) -> Figures:
        """Measures the weights that the circle starts from."""
        done = find(self.folder, "start")
        return done or keep(self.folder, self._measured(Figures(step="start"), checkpoint_in_use(self.dataset)))

    def assisted_round(self, name: str, shard: str) -> Figures:
        """Annotates the photographs of a shard from nothing, and retrains (paper §4, "Assisted-manual stage")."""
        return find(self.folder, name) or self._round(name, shard, Stage.ASSISTED_MANUAL)

    def semi_automatic_round(self, name: str, shard: str, trained_after: str) -> Figures:
        """Trains the detector, lets people complete what it finds, and retrains (paper §4, "Semi-automatic stage").

        Args:
            name: Of the round.
            shard: Its photographs.
            trained_after: The last round of the stage before, after which the detector is named.
        """
        done = find(self.folder, name)
        if done is not None:
            return done
        if not self._is_accepted(name):
            self._embed(shard)
            self._require(run_detector(self.dataset, trained_after, self.instance))
            chosen = PrefilledMasksConfig(shards=[shard], detector=trained_after)
            self._require(run_prefill(self.dataset, name, chosen, self.instance))
        detector = read_detector_record(self.dataset.storage, trained_after)
        recall = detector.recall.at_half if detector else None
        return self._round(name, shard, Stage.SEMI_AUTOMATIC, recall)

    def beside(self, step: str, round_name: str, shard: str, weights: str) -> Figures:
        """Lets the same people do a round again with other weights and nothing pre-filled, to compare with."""
        done = find(self.folder, step)
        if done is not None:
            return done
        truth = Truth(self.plan.images, self.plan.references)
        return keep(self.folder, do_again(self.dataset, Beside(step, round_name, shard, weights), truth, self.progress))

    def weights_before(self, round_name: str) -> str:
        """Those that people worked with in a round, as `load_model` takes them."""
        record = read_round_checkpoint(self.dataset.storage, round_name)
        assert record is not None
        return find_weights(self.dataset, record.parent)

    def automatic(self, shards: Sequence[str]) -> Figures:
        """Masks photographs without people (paper §4, "Fully automatic stage"), and writes report and cards."""
        done = find(self.folder, "automatic")
        if done is not None:
            return done
        images = masks = 0
        for shard in shards:
            self._require(run_shard(self.dataset, shard, self.instance))
            header = read_header(self.dataset.storage, AssetName.SA1B_EXPORT, shard)
            assert header is not None
            images, masks = images + header.counts["images"], masks + header.counts["masks"]
        self._require(run_catalog(self.dataset, self.instance))
        return keep(self.folder, Figures(step="automatic", images=images, masks=masks))

    def _round(self, name: str, shard: str, stage: Stage, recall: float | None = None) -> Figures:
        if not self._is_accepted(name):
            self._embed(shard)
            begin_with = PrefillFrom.DETECTOR if stage is Stage.SEMI_AUTOMATIC else PrefillFrom.NONE
            config = AnnotationTasksConfig(stage=stage.value, shards=[shard], prefill=begin_with.value)
            self._require(run_fill(self.dataset, name, config, self.instance))
            print(f"{name}: {let_people_work(self.dataset, self.plan, self.folder)}", end="", flush=True)
        outcome = run_retraining(self.dataset, name, self.instance)
        record = read_round_checkpoint(self.dataset.storage, name)
        if record is None or (record.promoted and not outcome.success):
            self._require(outcome)
        assert record is not None
        if not record.promoted:
            print(f"{name}: {outcome.error}", flush=True)
        figures = of_people(self.dataset, name).model_copy(
            update={
                "trained_on": record.masks,
                "promoted": record.promoted,
                "recall": recall,
            }
        )
        return keep(self.folder, self._measured(figures, find_weights(self.dataset, record.checkpoint)))

    def _is_accepted(self, name: str) -> bool:
        """Whether a round has tasks and all are done."""
        studio = open_studio(self.dataset)
        try:
            with studio.read() as connection:
                query = sa.select(tasks.c.state, sa.func.count()).where(tasks.c.round == name).group_by(tasks.c.state)
                states = {TaskState(state) for state, _ in connection.execute(query)}
        finally:
            studio.close()
        return bool(states) and states <= {TaskState.ACCEPTED, TaskState.SKIPPED}

    def _embed(self, shard: str) -> None:
        states = shard_freshness(self.dataset, shard, ref_in_use(self.dataset))
        if any(states[asset] is not Freshness.FRESH for asset in (AssetName.RAW_IMAGES, AssetName.IMAGE_EMBEDDINGS)):
            self._require(run_embeddings(self.dataset, shard, self.instance))

    def _require(self, outcome: RunOutcome) -> None:
        if not outcome.success:
            raise SystemExit(f"{outcome.failed_step}: {outcome.error}")

    def _measured(self, figures: Figures, weights: str) -> Figures:
        """With the IoU of weights on the validation photographs."""
        kept = self.folder / "validation" / f"{figures.step}.jsonl"
        kept.parent.mkdir(exist_ok=True)
        settings = ClickSettings(max_segments_per_image=self.plan.segments)
        source = _EveryNth(open_annotated(self.plan.validation, self.plan.validation_references), self.plan.validated)
        found: ClickIous = click_ious(load_model(weights), source, settings, kept, self.progress)
        return figures.model_copy(update={"ious": found.by_clicks, "best_of_three": found.best_of_three})


class _EveryNth:
    """So many images of a source, evenly spread."""

    def __init__(self, source: AnnotatedSource, count: int) -> None:
        total = len(source.names)
        self._source = source
        self._chosen = [index * total // count for index in range(min(count, total))]

    @property
    def names(self) -> list[str]:
        return [self._source.names[index] for index in self._chosen]

    def read(self, index: int) -> AnnotatedImage:
        return self._source.read(self._chosen[index])
