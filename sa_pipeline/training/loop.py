"""The training loop: drawn scenes in, gradient steps, checkpoints that continue bit for bit."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional

from sa_pipeline.sam.tiny import EMBEDDING_STRIDE, build_tiny
from sa_pipeline.training.losses import best_iou, lowest_mask_loss, mask_loss
from sa_pipeline.training.prompts import FirstPrompts, correction_click, sample_first_prompts
from sa_pipeline.training.scenes import Scene, draw_scene

MASK_STRIDE = 4
"""Input pixels per pixel of the low-resolution logits that are supervised."""

EMA_DECAY = 0.99

POSITION_GAIN = 2.0
"""How sharply attention follows position at the start; 1 leaves it nearly uniform over the image."""


@dataclass(frozen=True)
class TrainSettings:
    """What a step does.

    Attributes:
        input_size: Side of the square scenes in px, a multiple of 32.
        images: Scenes a step.
        prompts: First prompts per scene.
        learning_rate: Of AdamW after warm-up.
        warmup_steps: Steps over which the learning rate rises from 0, counted from the first step of all.
        flat_steps: Steps with difficulty 0: from textures alone the model never learns to follow a click.
        ramp_steps: Steps over which the difficulty then rises to 1.
        refine_every: After the flat steps, a second, corrected round of prompts is trained in every so-manieth step.
        bfloat16: Whether matrix products and convolutions run in bfloat16.
    """

    input_size: int = 256
    images: int = 4
    prompts: int = 12
    learning_rate: float = 3e-4
    warmup_steps: int = 100
    flat_steps: int = 250
    ramp_steps: int = 800
    refine_every: int = 3
    bfloat16: bool = False


@dataclass
class TrainState:
    """What a checkpoint holds.

    Attributes:
        sam: The model being trained.
        optimizer: AdamW over its parameters.
        average: Exponential moving average of the parameters by name: what is exported.
        seed: Of the scenes and prompts; together with `step` it fixes them.
        step: Steps done.
    """

    sam: Sam
    optimizer: torch.optim.AdamW
    average: dict[str, Tensor] = field(default_factory=dict)
    seed: int = 0
    step: int = 0


def new_state(seed: int) -> TrainState:
    """Builds `tiny` with random weights drawn from `seed` and a fresh optimizer."""
    torch.manual_seed(seed)
    sam = build_tiny().train()
    bind_positions(sam)
    optimizer = torch.optim.AdamW(sam.parameters(), lr=0.0, betas=(0.9, 0.99), weight_decay=0.02)
    average = {name: parameter.detach().clone() for name, parameter in sam.named_parameters()}
    return TrainState(sam, optimizer, average, seed)


def bind_positions(sam: Sam) -> None:
    """Starts the decoder's attention between tokens and image cells at the similarity of their positions.

    Queries and keys get the same projection, so that their product is that of the positional encodings: a
    click then finds its place in the image from the first step. From independent projections this takes
    hundreds of steps in which no prompt has any effect.
    """
    transformer = sam.mask_decoder.transformer
    attentions = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        attentions += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    with torch.no_grad():
        for attention in attentions:
            attention.q_proj.weight.mul_(POSITION_GAIN)
            attention.k_proj.weight.copy_(attention.q_proj.weight)


def difficulty_at(step: int, settings: TrainSettings) -> float:
    """Highest difficulty of the scenes at `step`, 0 to 1."""
    return min(1.0, max(0.0, (step - settings.flat_steps) / settings.ramp_steps))


def set_input_size(sam: Sam, size: int) -> None:
    """Makes prompts, embeddings and mask prompts of `sam` those of `size` x `size` px images, a multiple of 32."""
    cells = size // EMBEDDING_STRIDE
    sam.image_encoder.img_size = size
    sam.prompt_encoder.input_image_size = (size, size)
    sam.prompt_encoder.image_embedding_size = (cells, cells)
    sam.prompt_encoder.mask_input_size = (4 * cells, 4 * cells)


def train(state: TrainState, settings: TrainSettings) -> Iterator[dict[str, float]]:
    """Trains for as long as it is iterated, one step each time.

    Yields:
        Of each step: step, difficulty, loss, mask_loss, iou_loss, click_iou and box_iou (best of three
        outputs against the chosen mask), refined_iou (nan where the step had no second round).
    """
    set_input_size(state.sam, settings.input_size)
    while True:
        yield _step(state, settings)


def _step(state: TrainState, settings: TrainSettings) -> dict[str, float]:
    rng = np.random.default_rng((state.seed, state.step, 1))
    difficulty = difficulty_at(state.step, settings)
    scenes = [
        draw_padded_scene((state.seed, state.step, index), settings.input_size, difficulty * float(rng.uniform(0.4, 1)))
        for index in range(settings.images)
    ]
    for group in state.optimizer.param_groups:
        group["lr"] = settings.learning_rate * min(1.0, (state.step + 1) / settings.warmup_steps)
    state.optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
        embeddings = state.sam.image_encoder(torch.stack([image for image, _ in scenes]))
    refine = state.step >= settings.flat_steps and state.step % settings.refine_every == 0
    results = [
        _prompt_round(state.sam, embeddings[i : i + 1], masks, rng, settings, refine)
        for i, (_, masks) in enumerate(scenes)
    ]
    loss = torch.stack([result.pop("loss") for result in results]).mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.sam.parameters(), 1.0)
    state.optimizer.step()
    _update_average(state)
    state.step += 1
    means = {key: float(np.mean([float(result[key]) for result in results])) for key in results[0]}
    return {"step": float(state.step), "difficulty": difficulty, "loss": float(loss.detach()), **means}


def draw_padded_scene(seed: tuple[int, ...], side: int, difficulty: float) -> tuple[Tensor, npt.NDArray[np.bool_]]:
    """Draws a scene of random aspect and pads it to a square as `Sam.preprocess` does.

    Returns:
        (3, side, side) float32 normalised image, zero right of and below the scene, and (N, side, side) masks.
    """
    rng = np.random.default_rng((*seed, 2))
    height = width = side
    if rng.random() < 0.5:
        height = int(side * rng.uniform(0.6, 1.0))
        if rng.random() < 0.3:
            height, width = width, height
    scene: Scene = draw_scene(seed, (height, width), difficulty)
    mean = np.array([123.675, 116.28, 103.53], np.float32)
    deviation = np.array([58.395, 57.12, 57.375], np.float32)
    image = np.zeros((side, side, 3), np.float32)
    image[:height, :width] = (scene.image - mean) / deviation
    masks = np.zeros((len(scene.masks), side, side), np.bool_)
    masks[:, :height, :width] = scene.masks
    return torch.from_numpy(image).permute(2, 0, 1), masks


def _prompt_round(
    sam: Sam,
    embedding: Tensor,
    masks: npt.NDArray[np.bool_],
    rng: np.random.Generator,
    settings: TrainSettings,
    refine: bool,
) -> dict[str, Any]:
    prompts = sample_first_prompts(rng, masks, settings.prompts)
    all_masks = shrink_masks(masks)
    targets = all_masks[torch.from_numpy(prompts.targets)]
    allowed = torch.from_numpy(prompts.allowed)
    clicks = len(prompts.points)
    logits, predicted_iou = _decode(sam, embedding, _first_tokens(sam, prompts), None, settings.bfloat16)
    logits, predicted_iou = logits[:, 1:], predicted_iou[:, 1:]
    masks_loss = lowest_mask_loss(logits, targets).mean()
    iou_loss = functional.mse_loss(predicted_iou, best_iou(logits, all_masks, allowed))
    own = functional.one_hot(torch.from_numpy(prompts.targets), len(all_masks)).bool()
    reached = best_iou(logits, all_masks, own).amax(dim=1)
    refined = float("nan")
    if refine:
        best = logits.detach()[torch.arange(len(logits)), predicted_iou.argmax(dim=1)]
        tokens = _refined_tokens(sam, prompts, best, targets, rng)
        second, second_iou = _decode(sam, embedding, tokens, best[:, None], settings.bfloat16)
        true_iou = best_iou(second[:, :1], all_masks, own)
        masks_loss = masks_loss + mask_loss(second[:, 0], targets).mean()
        iou_loss = iou_loss + functional.mse_loss(second_iou[:, :1], true_iou)
        refined = float(true_iou.mean())
    return {
        "loss": masks_loss + iou_loss,
        "mask_loss": float(masks_loss.detach()),
        "iou_loss": float(iou_loss.detach()),
        "click_iou": float(reached[:clicks].mean()),
        "box_iou": float(reached[clicks:].mean()),
        "refined_iou": refined,
    }


def shrink_masks(masks: npt.NDArray[np.bool_]) -> Tensor:
    """(N, H, W) bool -> (N, H / 4, W / 4) float32 of 0 and 1: where at least half of the pixels are mask."""
    shares = functional.avg_pool2d(torch.from_numpy(masks.astype(np.float32))[:, None], MASK_STRIDE)[:, 0]
    return (shares >= 0.5).float()


def _first_tokens(sam: Sam, prompts: FirstPrompts) -> Tensor:
    # A lone click is padded with a "not a point" token, so that clicks and boxes both have two tokens.
    points = torch.from_numpy(prompts.points)[:, None]
    labels = torch.ones(len(points), 1, dtype=torch.int)
    clicks, _ = sam.prompt_encoder(points=(points, labels), boxes=None, masks=None)
    boxes, _ = sam.prompt_encoder(points=None, boxes=torch.from_numpy(prompts.boxes), masks=None)
    return torch.cat([clicks, boxes])


def _refined_tokens(
    sam: Sam, prompts: FirstPrompts, logits: Tensor, targets: Tensor, rng: np.random.Generator
) -> Tensor:
    wrong = [
        correction_click(rng, mask, target)
        for mask, target in zip((logits > 0).numpy(), targets.bool().numpy(), strict=True)
    ]
    points = MASK_STRIDE * torch.from_numpy(np.stack([point for point, _ in wrong]))[:, None]
    labels = torch.tensor([[label] for _, label in wrong], dtype=torch.int)
    count = len(prompts.points)
    both = torch.cat([torch.from_numpy(prompts.points)[:, None], points[:count]], dim=1)
    both_labels = torch.cat([torch.ones(count, 1, dtype=torch.int), labels[:count]], dim=1)
    clicks, _ = sam.prompt_encoder(points=(both, both_labels), boxes=None, masks=None)
    boxes, _ = sam.prompt_encoder(
        points=(points[count:], labels[count:]), boxes=torch.from_numpy(prompts.boxes), masks=None
    )
    return torch.cat([clicks, boxes])


def _decode(
    sam: Sam, embedding: Tensor, tokens: Tensor, mask_prompt: Tensor | None, bfloat16: bool
) -> tuple[Tensor, Tensor]:
    cells = sam.prompt_encoder.image_embedding_size
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        if mask_prompt is None:
            no_mask = sam.prompt_encoder.no_mask_embed.weight
            dense = no_mask.reshape(1, -1, 1, 1).expand(len(tokens), -1, *cells)
        else:
            dense = sam.prompt_encoder.mask_downscaling(mask_prompt)
        logits, iou = sam.mask_decoder.predict_masks(
            image_embeddings=embedding,
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=tokens,
            dense_prompt_embeddings=dense,
        )
    return logits.float(), iou.float()


def _update_average(state: TrainState) -> None:
    decay = min(EMA_DECAY, (1 + state.step) / (10 + state.step))
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


def load_state(path: Path) -> TrainState:
    """Reads what `save_state` wrote."""
    saved = torch.load(path, map_location="cpu", weights_only=True)
    state = new_state(saved["seed"])
    state.sam.load_state_dict(saved["model"])
    state.optimizer.load_state_dict(saved["optimizer"])
    state.average = saved["average"]
    state.step = saved["step"]
    return state
