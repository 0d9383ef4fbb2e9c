"""Retraining of a checkpoint on masks: the loop, what it writes, and going on where it stopped (paper §4)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from segment_anything.modeling import Sam

from sa_pipeline.artifacts import CheckpointRef
from sa_pipeline.errors import ArtifactError, SettingsError, describe_validation_error
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.sam.instructions import require_products
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.sam.state import TINY
from sa_pipeline.training.distributed import ALONE, Group
from sa_pipeline.training.embedded import EmbeddedSamples
from sa_pipeline.training.export import LOGIT_SCALE, export_checkpoint, scale_logits
from sa_pipeline.training.interaction import InteractionSettings
from sa_pipeline.training.loop import (
    OptimizerSettings,
    Phase,
    TrainState,
    new_state,
    restore_state,
    save_state,
    train,
)
from sa_pipeline.training.losses import FOCAL_WEIGHT, TINY_FOCAL_WEIGHT
from sa_pipeline.training.samples import SampleSource
from sa_pipeline.training.settings import WITHOUT_EFFECT, TrainingSettings
from sa_pipeline.training.stopping import StopRequest
from sa_pipeline.training.training_log import TrainingLog

STATE, LOG, CURVES, RUN = "state.pt", "log.csv", "curves.png", "training.json"
EMBEDDINGS = "embeddings"
"""Folder of the samples that are encoded once, where the encoder is not trained."""
TINY_STRIDE = 32
"""Side of `tiny`'s input is a multiple of this."""


class TrainingRun(BaseModel):
    """What a folder of training holds: written at its beginning, so that a later call cannot mix two runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: CheckpointRef
    source: str
    settings: TrainingSettings


@dataclass(frozen=True)
class TrainingOutcome:
    """Where a call ended.

    Attributes:
        step: Steps done, in this call and earlier ones.
        finished: Whether that is all of them; otherwise somebody asked to stop.
        weights: The weights so far.
    """

    step: int
    finished: bool
    weights: Path


def retrain(
    model: LoadedModel,
    source: SampleSource,
    source_name: str,
    settings: TrainingSettings,
    output: Path,
    progress: Progress,
    group: Group = ALONE,
) -> TrainingOutcome:
    """Trains a model on masks, from the beginning or from where an earlier call with the same arguments stopped.

    Writes state.pt (everything needed to go on), log.csv, curves.png, training.json, and the weights:
    weights.pth in the official format, or weights.safetensors for `tiny`. SIGINT and SIGTERM end it after the step at
    hand, saved; any other death costs the steps since the last save, and nothing else: the weights come out the same.

    Args:
        model: What training starts from; it is changed.
        source: Images with masks.
        source_name: What the record calls the source.
        settings: The recipe.
        output: Folder.
        progress: Shows the steps.
        group: Processes that train together; the first one writes.

    Raises:
        SettingsError: The folder holds another run, or a setting does not fit the model, the processes or the CPU.
        SaPipelineError: An image or its masks cannot be read.
    """
    sam = model.sam
    precision = _precision(settings, sam)
    phase, optimizer = _phase(settings, source, sam, model.ref.architecture, output, group), _optimizer(settings)
    output.mkdir(parents=True, exist_ok=True)
    _begin(output, TrainingRun(checkpoint=model.ref, source=source_name, settings=settings), group)
    if model.ref.architecture == TINY:
        sam.load_state_dict(scale_logits(sam.state_dict(), 1.0 / LOGIT_SCALE))
    state = new_state(sam, optimizer, settings.seed)
    _go_on(state, output / STATE)
    group.wait()
    writer = _Writer(state, output, model.ref.architecture, settings.save_seconds, leads=group.rank == 0)
    shown = progress if writer.leads else SilentProgress()
    steps = train(state, [phase], optimizer, precision, settings.workers, group)
    with StopRequest() as stop:
        for figures in shown.track(steps, description="training", total=settings.steps - state.step):
            writer.write(figures)
            if state.step < settings.steps and group.any(stop.heard, sam.device):
                break
        weights = writer.finish()
    group.wait()
    return TrainingOutcome(state.step, state.step >= settings.steps, weights)


class _Writer:
    """What the first process of a group writes as training goes on."""

    def __init__(self, state: TrainState, output: Path, architecture: str, save_seconds: float, *, leads: bool) -> None:
        self.state, self.output, self.architecture, self.leads = state, output, architecture, leads
        self.save_seconds, self.last_save = save_seconds, time.monotonic()
        self.log = TrainingLog(output / LOG, state.step) if leads else None

    def write(self, figures: dict[str, float]) -> None:
        if self.log is None:
            return
        self.log.append(figures)
        if time.monotonic() - self.last_save >= self.save_seconds:
            save_state(self.state, self.output / STATE)
            self.log.draw(self.output / CURVES)
            self.last_save = time.monotonic()

    def finish(self) -> Path:
        if self.log is None:
            return self.output
        save_state(self.state, self.output / STATE)
        self.log.draw(self.output / CURVES)
        return export_checkpoint(self.state, self.architecture, self.output)


def _phase(
    settings: TrainingSettings, source: SampleSource, sam: Sam, architecture: str, output: Path, group: Group
) -> Phase:
    if settings.images % (group.size * settings.accumulate):
        raise SettingsError(
            f"images: {settings.images} a step cannot be shared by {group.size} processes in {settings.accumulate} "
            f"pieces each; expected a multiple of {group.size * settings.accumulate}."
        )
    _require_parameters(sam, settings.only)
    embedded = None
    if not settings.trains_encoder:
        count, jitter = settings.embedded_samples, settings.jitter
        embedded = EmbeddedSamples(output / EMBEDDINGS, source, count, augment=False, jitter=jitter)
    return Phase(
        steps=settings.steps,
        input_size=_input_size(settings, sam, architecture),
        images=settings.images,
        source=source,
        interaction=InteractionSettings(
            prompts=settings.masks,
            box_share=settings.box_share,
            corrections=settings.corrections,
            repeats=settings.repeats,
            distinct=True,
            trust_predicted_iou=True,
            focal_weight=_focal_weight(settings, architecture),
        ),
        learning_rate=settings.peak_learning_rate,
        augment=False,
        decay_at=tuple(round(share * settings.steps) for share in settings.decay_at),
        jitter=settings.jitter,
        accumulate=settings.accumulate,
        drop_path=settings.drop_path,
        independent_images=True,
        recompute=settings.recompute,
        embedded=embedded,
        only=settings.only,
    )


def _require_parameters(sam: Sam, beginnings: Sequence[str]) -> None:
    names = [name for name, _ in sam.named_parameters()]
    unknown = [beginning for beginning in beginnings if not any(name.startswith(beginning) for name in names)]
    if unknown:
        raise SettingsError(f"only: no parameter's name begins with {unknown[0]}; an example of a name is {names[-1]}.")


def _focal_weight(settings: TrainingSettings, architecture: str) -> float:
    if settings.focal_weight is not None:
        return settings.focal_weight
    return TINY_FOCAL_WEIGHT if architecture == TINY else FOCAL_WEIGHT


def _optimizer(settings: TrainingSettings) -> OptimizerSettings:
    return OptimizerSettings(
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        warmup_steps=max(1, min(settings.warmup_steps, settings.steps // 4)),
        max_gradient_norm=settings.max_gradient_norm,
        average_decay=settings.average_decay,
        layer_decay=settings.layer_decay,
    )


def _input_size(settings: TrainingSettings, sam: Sam, architecture: str) -> int:
    own = int(sam.image_encoder.img_size)
    size = own if settings.input_size is None else settings.input_size
    if architecture != TINY and size != own:
        raise SettingsError(f"input_size: {size} px do not fit {architecture}, whose positions are for {own} px alone.")
    if size % TINY_STRIDE:
        raise SettingsError(f"input_size: expected a multiple of {TINY_STRIDE} px, got {size}.")
    return size


def _precision(settings: TrainingSettings, sam: Sam) -> torch.dtype:
    automatic = "bfloat16" if sam.device.type == "cuda" else "float32"
    name = automatic if settings.precision == "auto" else settings.precision
    dtype = torch.bfloat16 if name == "bfloat16" else torch.float32
    require_products(dtype, sam.device, setting="precision")
    return dtype


def _begin(output: Path, run: TrainingRun, group: Group) -> None:
    """Writes down what this folder is for; once it holds a step, checks instead that it is for the same."""
    path = output / RUN
    if path.exists() and (output / STATE).exists():
        _require_same(path, run)
    elif group.rank == 0:
        aside = path.with_name(path.name + ".part")
        aside.write_text(run.model_dump_json(indent=2) + "\n")
        aside.replace(path)


def _require_same(path: Path, run: TrainingRun) -> None:
    try:
        begun = TrainingRun.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ArtifactError(f"{describe_validation_error(error, name=str(path))} Choose another output.") from None
    pairs = {"checkpoint": (begun.checkpoint.digest, run.checkpoint.digest), "source": (begun.source, run.source)}
    names = [name for name in TrainingSettings.model_fields if name not in WITHOUT_EFFECT]
    pairs |= {name: (getattr(begun.settings, name), getattr(run.settings, name)) for name in names}
    for name, (before, now) in pairs.items():
        if before != now:
            raise SettingsError(
                f"{path.parent} holds a training run with {name} = {before}, not {now}; go on with the same, or choose "
                "another output."
            )


def _go_on(state: TrainState, path: Path) -> None:
    if not path.exists():
        return
    try:
        restore_state(state, path)
    except Exception as error:  # torch raises nearly anything on damaged files
        raise ArtifactError(
            f"{path} cannot be read ({type(error).__name__}); delete it to train from the beginning."
        ) from error
