"""The training loop: samples in, gradient steps, checkpoints that continue bit for bit."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor

from sa_pipeline.training.batches import batches
from sa_pipeline.training.distributed import ALONE, Group
from sa_pipeline.training.drop_path import drop_path
from sa_pipeline.training.embedded import EmbeddedSamples
from sa_pipeline.training.interaction import InteractionResult, InteractionSettings, interact
from sa_pipeline.training.parameter_groups import RATE_SHARE, parameter_groups
from sa_pipeline.training.recomputing import recomputed
from sa_pipeline.training.samples import Prepared, SampleSource

STEP_DECAY = 0.1
"""Factor on the learning rate at each of a phase's `decay_at` (Appendix A, "Training recipe")."""


@dataclass(frozen=True)
class Phase:
    """A stretch of training on one kind of samples.

    Attributes:
        steps: How many.
        input_size: Side of the model's input in px, a multiple of its encoder's stride.
        images: Samples a step, of all processes together.
        source: Where samples come from.
        interaction: How an annotator is simulated.
        learning_rate: Highest learning rate; it falls to `final_share` of it at the phase's end along a cosine.
        final_share: See there; 1 keeps the rate.
        augment: Whether samples are cropped, mirrored and brightened at random.
        correct_every: Corrections are simulated in every so-manieth step only; they cost most of the time.
        decay_at: Steps of the phase from which on the learning rate is a tenth of what it was.
        jitter: Range of large-scale jitter; None for none.
        accumulate: Pieces that a step's samples are worked through in, so that memory is that of one piece.
        drop_path: Rate at the last block of a ViT encoder; 0 for none.
        independent_images: Whether each image's prompts have a source of chance of their own, so that they are the
            same however images are spread over processes, and each round is backpropagated at once, so that memory
            is that of one round. Otherwise all images of a step share one, and all rounds are backpropagated together.
        recompute: Whether activations within a ViT encoder's blocks are computed twice instead of kept.
        embedded: Samples whose embedding is kept; if given, the encoder stays as it is, `source` is theirs, and
            augmentation is part of what is kept.
        only: Beginnings of the names of the parameters that are trained, the others stay as they are; empty for all.
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
    decay_at: tuple[int, ...] = ()
    jitter: tuple[float, float] | None = None
    accumulate: int = 1
    drop_path: float = 0.0
    independent_images: bool = False
    recompute: bool = False
    embedded: EmbeddedSamples | None = None
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class OptimizerSettings:
    """AdamW and what surrounds it (Appendix A, "Training recipe").

    Attributes:
        betas: Of AdamW.
        weight_decay: Of all weights that are more than a vector.
        warmup_steps: Over which the learning rate rises from zero.
        max_gradient_norm: To which the gradient is clipped.
        average_decay: Of the exponential moving average of the weights; None for no average.
        layer_decay: Factor on the learning rate from each block of a ViT encoder to the one before it.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.1
    warmup_steps: int = 250
    max_gradient_norm: float = 1.0
    average_decay: float | None = 0.999
    layer_decay: float = 1.0


@dataclass
class TrainState:
    """What a checkpoint holds.

    Attributes:
        sam: The model being trained.
        optimizer: AdamW over its parameters.
        average: Exponential moving average of the parameters by name: what is exported. Empty without an average.
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
    groups = parameter_groups(sam, optimizer.weight_decay, optimizer.layer_decay)
    adamw = torch.optim.AdamW(groups, lr=0.0, betas=optimizer.betas)
    averaged = sam.named_parameters() if optimizer.average_decay is not None else ()
    return TrainState(sam, adamw, {name: parameter.detach().clone() for name, parameter in averaged}, seed)


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
    group: Group = ALONE,
) -> Iterator[dict[str, float]]:
    """Trains through the phases, going on at the state's step.

    Args:
        state: Changed in place.
        phases: One after the other.
        optimizer: As `state` was made with.
        dtype: Of matrix products and convolutions, under autocast.
        workers: Processes that prepare samples ahead of time; the result does not depend on their number.
        group: Processes that train together, each on its share of a step's images.

    Yields:
        Of each step: step, learning_rate, loss, and the figures of `InteractionResult`, means over all images.
    """
    begun = 0
    for phase in phases:
        if state.step < begun + phase.steps:
            set_input_size(state.sam, phase.input_size)
            if phase.only:
                for name, parameter in state.sam.named_parameters():
                    parameter.requires_grad_(name.startswith(phase.only))
            end = begun + phase.steps
            for samples in _samples_of(phase, state, end, workers, group):
                yield _step(state, phase, begun, optimizer, samples, dtype, group)
        begun += phase.steps


def _samples_of(phase: Phase, state: TrainState, end: int, workers: int, group: Group) -> Iterator[list[Prepared]]:
    if phase.embedded is None:
        return batches(phase, state.seed, state.step, end, workers, group)
    share = phase.images // group.size
    own = slice(group.rank * share, (group.rank + 1) * share)
    steps = range(state.step, end)
    return phase.embedded.draw(state.sam, phase.input_size, state.seed, steps, phase.images, own)


def learning_rate_at(step: int, phase: Phase, begun: int, optimizer: OptimizerSettings) -> float:
    """Linear warm-up over the first steps of all, a cosine from the phase's rate to its final share, and its decays."""
    warm = min(1.0, (step + 1) / optimizer.warmup_steps)
    progress = (step - begun) / max(1, phase.steps)
    share = phase.final_share + (1 - phase.final_share) * 0.5 * (1 + np.cos(np.pi * progress))
    decays = sum(step - begun >= start for start in phase.decay_at)
    return float(phase.learning_rate * warm * share * STEP_DECAY**decays)


def _step(
    state: TrainState,
    phase: Phase,
    begun: int,
    optimizer: OptimizerSettings,
    samples: list[Prepared],
    dtype: torch.dtype,
    group: Group,
) -> dict[str, float]:
    rate = learning_rate_at(state.step, phase, begun, optimizer)
    for parameters in state.optimizer.param_groups:
        parameters["lr"] = rate * parameters.get(RATE_SHARE, 1.0)
    state.optimizer.zero_grad(set_to_none=True)
    if state.step % phase.correct_every:
        phase = replace(phase, interaction=replace(phase.interaction, corrections=0, repeats=0))
    shared = np.random.default_rng((state.seed, state.step, 1))
    results: list[InteractionResult] = []
    piece = len(samples) // phase.accumulate
    for first in range(0, len(samples), piece):
        numbers = [group.rank * len(samples) + index for index in range(first, first + piece)]
        chances = [
            np.random.default_rng((state.seed, state.step, 1, n)) if phase.independent_images else shared
            for n in numbers
        ]
        results += _backpropagate(state, phase, samples[first : first + piece], numbers, chances, dtype)
    group.sum_gradients(state.sam.parameters())
    torch.nn.utils.clip_grad_norm_(state.sam.parameters(), optimizer.max_gradient_norm)
    state.optimizer.step()
    if optimizer.average_decay is not None:
        _update_average(state, optimizer.average_decay)
    state.step += 1
    loss = torch.stack([result.loss.detach() for result in results]).mean()
    figures = {key: float(np.mean([result.figures[key] for result in results])) for key in results[0].figures}
    figures = group.mean({"loss": float(loss), **figures}, state.sam.device)
    return {"step": float(state.step), "learning_rate": rate, **figures}


def _backpropagate(
    state: TrainState,
    phase: Phase,
    samples: list[Prepared],
    numbers: list[int],
    chances: list[np.random.Generator],
    dtype: torch.dtype,
) -> list[InteractionResult]:
    """Adds a piece's share to the gradient of the step; `numbers` tell its images apart within the step."""
    sam, device = state.sam, state.sam.device
    if phase.embedded is not None:
        return _decoder_alone(sam, phase, samples, chances, dtype)
    images = torch.stack([sample.image for sample in samples]).to(device)
    with ExitStack() as encoding:
        if phase.drop_path:
            draws = [np.random.default_rng((state.seed, state.step, 5, number)) for number in numbers]
            encoding.enter_context(drop_path(sam.image_encoder, phase.drop_path, draws))
        if phase.recompute:
            encoding.enter_context(recomputed(sam.image_encoder))
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            embeddings = sam.image_encoder(images)
        together = _round_by_round if phase.independent_images else _all_rounds_at_once
        return together(sam, embeddings, phase, samples, chances, dtype)


def _all_rounds_at_once(
    sam: Sam,
    embeddings: Tensor,
    phase: Phase,
    samples: list[Prepared],
    chances: list[np.random.Generator],
    dtype: torch.dtype,
) -> list[InteractionResult]:
    results = [
        interact(sam, embeddings[i : i + 1].float(), sample, phase.interaction, chance, dtype)
        for i, (sample, chance) in enumerate(zip(samples, chances, strict=True))
    ]
    share = len(samples) / phase.images
    (torch.stack([result.loss for result in results]).mean() * share).backward()
    return results


def _round_by_round(
    sam: Sam,
    embeddings: Tensor,
    phase: Phase,
    samples: list[Prepared],
    chances: list[np.random.Generator],
    dtype: torch.dtype,
) -> list[InteractionResult]:
    def backward(loss: Tensor) -> None:
        (loss / phase.images).backward()

    embeddings = embeddings.float()
    leaf = embeddings.detach().requires_grad_()
    results = [
        interact(sam, leaf[i : i + 1], sample, phase.interaction, chance, dtype, backward)
        for i, (sample, chance) in enumerate(zip(samples, chances, strict=True))
    ]
    torch.autograd.backward(embeddings, leaf.grad)
    return results


def _decoder_alone(
    sam: Sam,
    phase: Phase,
    samples: list[Prepared],
    chances: list[np.random.Generator],
    dtype: torch.dtype,
) -> list[InteractionResult]:
    def backward(loss: Tensor) -> None:
        (loss / phase.images).backward()

    results = []
    for sample, chance in zip(samples, chances, strict=True):
        assert sample.embedding is not None  # noqa: S101  # `EmbeddedSamples` gives them with one
        embedding = sample.embedding[None].to(sam.device)
        results.append(interact(sam, embedding, sample, phase.interaction, chance, dtype, backward))
    return results


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
