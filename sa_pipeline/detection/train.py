"""Training of the detector: a loop that goes on where it stopped, to the step and to the bit."""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection import FasterRCNN

from sa_pipeline.detection.boxes import BoxSource, mirrored
from sa_pipeline.detection.detect import to_input
from sa_pipeline.detection.model import OBJECT, build_detector
from sa_pipeline.errors import AnnotationError, ArtifactError, SettingsError
from sa_pipeline.progress import Progress
from sa_pipeline.settings import DetectorSettings
from sa_pipeline.training.parameter_groups import parameter_groups
from sa_pipeline.training.stopping import StopRequest
from sa_pipeline.training.training_log import TrainingLog

STATE, LOG, CURVES = "state.pt", "log.csv", "curves.png"

PANELS = (("loss",), ("loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"), ("learning_rate",))
"""What is drawn into each panel of the curves."""

SGD_MOMENTUM = 0.9

WITHOUT_EFFECT = {"save_seconds"}
"""Settings that may change between two calls of one training run."""

SMALLEST_SIDE = 1.0
"""px; people's boxes are never thinner than a pixel."""


@dataclass(frozen=True)
class DetectorTraining:
    """Where a call ended.

    Attributes:
        detector: The weights so far, in evaluation mode.
        step: Steps done, in this call and earlier ones.
        finished: Whether that is all of them; otherwise somebody asked to stop.
        loss: Mean over the last tenth of the steps; None before the first.
    """

    detector: FasterRCNN
    step: int
    finished: bool
    loss: float | None


@dataclass
class _State:
    detector: FasterRCNN
    optimizer: torch.optim.Optimizer
    run: str
    step: int = 0


def train_detector(
    source: BoxSource, settings: DetectorSettings, output: Path, progress: Progress, *, source_name: str = ""
) -> DetectorTraining:
    """Trains a detector of one class on boxes, from the beginning or from where an earlier call stopped (paper §4).

    Writes state.pt (everything needed to go on), log.csv and curves.png. SIGINT and SIGTERM end it after the step at
    hand, saved; any other death costs the steps since the last save, and nothing else: on a CPU the weights come out
    the same.

    Args:
        source: Images with boxes.
        settings: The recipe.
        output: Folder.
        progress: Shows the steps.
        source_name: What `source` is; a folder is for one source and one recipe.

    Raises:
        SettingsError: The folder holds another run.
        AnnotationError: The source has no images.
        SaPipelineError: An image cannot be read, or the folder's state is damaged.
    """
    if not len(source):
        raise AnnotationError("The detector has no image to be trained on; expected masks that people made.")
    output.mkdir(parents=True, exist_ok=True)
    state = _begin(settings, source_name)
    _go_on(state, output / STATE)
    log = TrainingLog(output / LOG, state.step, PANELS)
    last_save = time.monotonic()
    with StopRequest() as stop:
        steps = _steps(state, source, settings)
        for figures in progress.track(steps, description="detector", total=settings.steps - state.step):
            log.append(figures)
            if time.monotonic() - last_save >= settings.save_seconds:
                _save(state, output / STATE)
                last_save = time.monotonic()
            if state.step < settings.steps and stop.heard:
                break
        _save(state, output / STATE)
    if state.step:
        log.draw(output / CURVES)
    return DetectorTraining(state.detector.eval(), state.step, state.step >= settings.steps, log.mean_of_last("loss"))


def _begin(settings: DetectorSettings, source_name: str) -> _State:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    detector = build_detector(settings).to(device)
    groups = parameter_groups(detector, settings.weight_decay, layer_decay=1.0)
    optimizer: torch.optim.Optimizer = (
        torch.optim.AdamW(groups, lr=0.0)
        if settings.optimizer == "adamw"
        else torch.optim.SGD(groups, lr=0.0, momentum=SGD_MOMENTUM)
    )
    run = {"source": source_name, "settings": settings.model_dump(mode="json", exclude=WITHOUT_EFFECT)}
    return _State(detector, optimizer, json.dumps(run, sort_keys=True))


def _steps(state: _State, source: BoxSource, settings: DetectorSettings) -> Iterator[dict[str, float]]:
    while state.step < settings.steps:
        yield _step(state, source, settings)


def _step(state: _State, source: BoxSource, settings: DetectorSettings) -> dict[str, float]:
    rate = learning_rate_at(state.step, settings)
    for parameters in state.optimizer.param_groups:
        parameters["lr"] = rate
    images, targets = _batch(state, source, settings)
    # torchvision draws input sizes, anchors and proposals from torch's own source of chance.
    with torch.random.fork_rng():
        torch.manual_seed(int(np.random.default_rng((settings.seed, state.step, 1)).integers(2**62)))
        state.detector.train()
        losses: dict[str, Tensor] = state.detector(images, targets)
    loss = torch.stack(list(losses.values())).sum()
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.detector.parameters(), settings.max_gradient_norm)
    state.optimizer.step()
    state.step += 1
    parts = {name: float(value.detach()) for name, value in losses.items()}
    return {"step": float(state.step), "learning_rate": rate, "loss": float(loss.detach()), **parts}


def learning_rate_at(step: int, settings: DetectorSettings) -> float:
    """Linear warm-up, then a cosine that ends at zero."""
    warm = min(1.0, (step + 1) / max(1, min(settings.warmup_steps, settings.steps // 4)))
    return settings.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / settings.steps))


def _batch(
    state: _State, source: BoxSource, settings: DetectorSettings
) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """The images of a step, mirrored by chance; every image comes once before one comes twice."""
    images, targets = [], []
    for number in range(state.step * settings.images, (state.step + 1) * settings.images):
        epoch, place = divmod(number, len(source))
        order = np.random.default_rng((settings.seed, epoch, 2)).permutation(len(source))
        image = source.read(int(order[place]))
        pixels, boxes = image.pixels, image.boxes
        boxes = boxes[(boxes[:, 2:] - boxes[:, :2] >= SMALLEST_SIDE).all(axis=1)]
        if np.random.default_rng((settings.seed, number, 3)).random() < 0.5:
            pixels, boxes = pixels[:, ::-1], mirrored(boxes, pixels.shape[1])
        tensor = to_input(pixels, state.detector)
        images.append(tensor)
        labels = torch.full((len(boxes),), OBJECT, dtype=torch.int64, device=tensor.device)
        targets.append({"boxes": torch.from_numpy(boxes).to(tensor.device), "labels": labels})
    return images, targets


def _save(state: _State, path: Path) -> None:
    aside = path.with_name(path.name + ".part")
    saved = {
        "detector": state.detector.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "run": state.run,
        "step": state.step,
    }
    torch.save(saved, aside)
    aside.replace(path)


def _go_on(state: _State, path: Path) -> None:
    if not path.exists():
        return
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        same = saved["run"] == state.run
        if same:
            state.detector.load_state_dict(saved["detector"])
            state.optimizer.load_state_dict(saved["optimizer"])
            state.step = int(saved["step"])
    except Exception as error:  # torch raises nearly anything on damaged files
        raise ArtifactError(
            f"{path} cannot be read ({type(error).__name__}); delete it to train from the beginning."
        ) from error
    if not same:
        raise SettingsError(
            f"{path.parent} holds a training run with another recipe or source; go on with the same, or choose another "
            "folder."
        )
