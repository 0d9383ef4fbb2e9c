"""The training loop: samples in, gradient steps, checkpoints that continue bit for bit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sa_pipeline.training.interaction import InteractionSettings, interact
from sa_pipeline.training.samples import Prepared, SampleSource, prepare_sample


@dataclass(frozen=True)
class Phase:
    """A stretch of training on one kind of samples.

    Attributes:
        steps: How many.
        input_size: Side of the model's input in px, a multiple of its encoder's stride.
        images: Samples a step.
        source: Where samples come from.
        interaction: How an annotator is simulated.
        learning_rate: Highest learning rate; it falls to `final_share` of it at the phase's end along a cosine.
        final_share: See there; 1 keeps the rate.
        augment: Whether samples are cropped, mirrored and brightened at random.
        correct_every: Corrections are simulated in every so-manieth step only; they cost most of the time.
    """

    steps: int
    input_size: int
    images: int
    source: SampleSource
    interaction: InteractionSettings
    learning_rate: float
    final_share: float = 1.0
    augment: bool = True
    correct_every: int = 1


@dataclass(frozen=True)
class OptimizerSettings:
    """AdamW and what surrounds it (Appendix A, "Training recipe")."""

    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.1
    warmup_steps: int = 250
    max_gradient_norm: float = 1.0
    average_decay: float = 0.999


@dataclass
class TrainState:
    """What a checkpoint holds.

    Attributes:
        sam: The model being trained.
        optimizer: AdamW over its parameters.
        average: Exponential moving average of the parameters by name: what is exported.
        seed: Of samples and prompts; together with `step` it fixes them.
        step: Steps done, over all phases.
    """

    sam: Sam
    optimizer: torch.optim.AdamW
    average: dict[str, Tensor] = field(default_factory=dict)
    seed: int = 0
    step: int = 0


def new_state(sam: Sam, optimizer: OptimizerSettings, seed: int) -> TrainState:
    """Starts training `sam` with a fresh optimizer."""
    sam.train()
    decayed = [p for p in sam.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in sam.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": optimizer.weight_decay}, {"params": others, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=0.0, betas=optimizer.betas)
    average = {name: parameter.detach().clone() for name, parameter in sam.named_parameters()}
    return TrainState(sam, adamw, average, seed)


def set_input_size(sam: Sam, size: int) -> None:
    """Makes prompts, embeddings and mask prompts of `sam` those of `size` x `size` px images."""
    old_cells, old_size = sam.prompt_encoder.image_embedding_size[0], sam.image_encoder.img_size
    cells = size * old_cells // old_size
    sam.image_encoder.img_size = size
    sam.prompt_encoder.input_image_size = (size, size)
    sam.prompt_encoder.image_embedding_size = (cells, cells)
    sam.prompt_encoder.mask_input_size = (4 * cells, 4 * cells)


def train(
    state: TrainState,
    phases: Sequence[Phase],
    optimizer: OptimizerSettings,
    dtype: torch.dtype = torch.float32,
    workers: int = 0,
) -> Iterator[dict[str, float]]:
    """Trains through the phases, going on at the state's step.

    Args:
        state: Changed in place.
        phases: One after the other.
        optimizer: As `state` was made with.
        dtype: Of matrix products and convolutions, under autocast.
        workers: Processes that prepare samples ahead of time; the result does not depend on their number.

    Yields:
        Of each step: step, learning_rate, loss, and the figures of `InteractionResult`.
    """
    begun = 0
    for phase in phases:
        if state.step < begun + phase.steps:
            set_input_size(state.sam, phase.input_size)
            for samples in _batches(phase, state.seed, state.step, begun + phase.steps, workers):
                yield _step(state, phase, begun, optimizer, samples, dtype)
        begun += phase.steps


class _Samples(Dataset[Prepared]):
    """Prepared samples by number, so that a worker process can make them ahead of time."""

    def __init__(self, phase: Phase, seed: int, first: int, end: int) -> None:
        self.phase, self.seed, self.first, self.end = phase, seed, first, end

    def __len__(self) -> int:
        return (self.end - self.first) * self.phase.images

    def __getitem__(self, index: int) -> Prepared:
        number = self.first * self.phase.images + index
        for attempt in range(100):
            seed = (self.seed, number, attempt)
            rng = np.random.default_rng((*seed, 4))
            scene = self.phase.source.sample(seed)
            prepared = prepare_sample(scene, self.phase.input_size, rng, self.phase.augment)
            if prepared is not None:
                return prepared
        raise AssertionError("a hundred samples in a row had no mask")


def _batches(phase: Phase, seed: int, first: int, end: int, workers: int) -> Iterator[list[Prepared]]:
    loader: DataLoader[Prepared] = DataLoader(
        _Samples(phase, seed, first, end),
        batch_size=phase.images,
        num_workers=workers,
        collate_fn=list,
        worker_init_fn=_quieten,
        # Forked, OpenCV and OpenMP would wait for threads that the child does not have.
        multiprocessing_context="spawn" if workers else None,
    )
    return iter(loader)


def _quieten(_worker: int) -> None:
    import cv2

    cv2.setNumThreads(1)


def learning_rate_at(step: int, phase: Phase, begun: int, optimizer: OptimizerSettings) -> float:
    """Linear warm-up over the first steps of all, then a cosine from the phase's rate to its final share."""
    warm = min(1.0, (step + 1) / optimizer.warmup_steps)
    progress = (step - begun) / max(1, phase.steps)
    share = phase.final_share + (1 - phase.final_share) * 0.5 * (1 + np.cos(np.pi * progress))
    return float(phase.learning_rate * warm * share)


def _step(
    state: TrainState,
    phase: Phase,
    begun: int,
    optimizer: OptimizerSettings,
    samples: list[Prepared],
    dtype: torch.dtype,
) -> dict[str, float]:
    rng = np.random.default_rng((state.seed, state.step, 1))
    rate = learning_rate_at(state.step, phase, begun, optimizer)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.zero_grad(set_to_none=True)
    device = state.sam.device
    images = torch.stack([sample.image for sample in samples]).to(device)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        embeddings = state.sam.image_encoder(images)
    settings = phase.interaction
    if state.step % phase.correct_every:
        settings = InteractionSettings(settings.prompts, settings.box_share, 0, 0, settings.nested)
    results = [
        interact(state.sam, embeddings[i : i + 1].float(), sample, settings, rng, dtype)
        for i, sample in enumerate(samples)
    ]
    loss = torch.stack([result.loss for result in results]).mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.sam.parameters(), optimizer.max_gradient_norm)
    state.optimizer.step()
    _update_average(state, optimizer.average_decay)
    state.step += 1
    figures = {key: float(np.mean([result.figures[key] for result in results])) for key in results[0].figures}
    return {"step": float(state.step), "learning_rate": rate, "loss": float(loss.detach()), **figures}


def _update_average(state: TrainState, highest_decay: float) -> None:
    decay = min(highest_decay, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        names, parameters = zip(*state.sam.named_parameters(), strict=True)
        averages = [state.average[name] for name in names]
        torch._foreach_lerp_(averages, list(parameters), 1.0 - decay)


def save_state(state: TrainState, path: Path) -> None:
    """Writes everything needed to continue, aside and then renamed."""
    aside = path.with_name(path.name + ".part")
    torch.save(
        {
            "model": state.sam.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "average": state.average,
            "seed": state.seed,
            "step": state.step,
        },
        aside,
    )
    aside.replace(path)


def restore_state(state: TrainState, path: Path) -> None:
    """Brings `state` to what `save_state` wrote."""
    saved = torch.load(path, map_location=state.sam.device, weights_only=True)
    state.sam.load_state_dict(saved["model"])
    state.optimizer.load_state_dict(saved["optimizer"])
    state.average = saved["average"]
    state.seed, state.step = saved["seed"], saved["step"]
