"""Settings of training: the paper's recipe as defaults, and presets for what it is used for."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sa_pipeline.errors import SettingsError, describe_validation_error

_ENCODER = "image_encoder."


class TrainingSettings(BaseModel):
    """How a model is trained on masks. Sources in parentheses; "App. A" is the paper's, "ours" has no other."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    only: tuple[str, ...] = Field(
        default=(),
        description="beginnings of the names of the parameters that are trained, such as [mask_decoder.]; empty: all "
        "(App. A)",
    )
    embedded_samples: int = Field(
        default=300,
        ge=1,
        description="images drawn, jittered and encoded once, and kept; without effect where the encoder is trained",
    )
    steps: int = Field(default=90_000, ge=1, description="gradient steps in all (App. A)")
    images: int = Field(default=256, ge=1, description="a step, of all processes together (App. A)")
    masks: int = Field(default=64, ge=1, description="prompted for in one image at most (App. A, a GPU of one image)")
    box_share: float = Field(default=0.5, ge=0.0, le=1.0, description="first prompts that are boxes (App. A)")
    corrections: int = Field(default=8, ge=0, le=50, description="clicks after the first prompt (App. A)")
    repeats: int = Field(
        default=2,
        ge=0,
        le=2,
        description="rounds without a new click: one after a random correction, one last (App. A)",
    )
    focal_weight: float | None = Field(
        default=None,
        ge=0.0,
        description="of the focal loss against the dice loss; None: 20 (App. A), for `tiny` 0.5 (ours)",
    )
    max_mask_share: float = Field(
        default=0.9, gt=0.0, le=1.0, description="of the image; larger masks are left out (App. A)"
    )
    jitter: tuple[float, float] | None = Field(
        default=None,
        description="range of large-scale jitter; [0.1, 2.0] where masks are few (App. A); None: no change",
    )
    learning_rate: float = Field(default=8e-4, gt=0.0, description="after warm-up (App. A; ViT-L 4e-4)")
    learning_rate_images: int | None = Field(
        default=256,
        ge=1,
        description="images a step that the learning rate is meant for; it is scaled in proportion to what a step has "
        "(linear scaling, Goyal et al. 2017); None: taken as it is",
    )
    warmup_steps: int = Field(default=250, ge=1, description="at most a quarter of all steps (App. A)")
    decay_at: tuple[float, ...] = Field(
        default=(60_000 / 90_000, 86_666 / 90_000),
        description="shares of all steps from which the learning rate is a tenth (App. A)",
    )
    betas: tuple[float, float] = Field(default=(0.9, 0.999), description="of AdamW (App. A)")
    weight_decay: float = Field(default=0.1, ge=0.0, description="of AdamW (App. A)")
    layer_decay: float = Field(
        default=0.8, gt=0.0, le=1.0, description="from block to block of a ViT (App. A; ViT-B 0.6)"
    )
    drop_path: float = Field(
        default=0.4, ge=0.0, lt=1.0, description="rate at the last block of a ViT (App. A; ViT-B 0.6)"
    )
    max_gradient_norm: float = Field(default=1.0, gt=0.0, description="the gradient is clipped to it (ours)")
    average_decay: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        description="of a moving average of the weights, which is what is written; None: none",
    )
    accumulate: int = Field(default=1, ge=1, description="pieces of a step; memory is that of one piece")
    recompute: bool = Field(
        default=False, description="activations within a ViT's blocks are computed twice instead of kept (ours)"
    )
    input_size: int | None = Field(
        default=None, ge=32, description="px, side of the input; None: the model's own, 1024 for a ViT (App. A)"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="of matrix products; auto: bfloat16 on a GPU, float32 on a CPU"
    )
    seed: int = Field(default=0, ge=0, description="of images, prompts and drop path")
    workers: int = Field(default=0, ge=0, description="processes that prepare images; without effect on the result")
    save_seconds: float = Field(default=300.0, ge=0.0, description="between two saves")

    @model_validator(mode="after")
    def _pieces_of_a_step(self) -> "TrainingSettings":
        if self.images % self.accumulate:
            raise ValueError(f"images ({self.images}) must be a multiple of accumulate ({self.accumulate})")
        return self

    @model_validator(mode="after")
    def _ranges(self) -> "TrainingSettings":
        if self.jitter is not None and not 0.0 < self.jitter[0] <= self.jitter[1] <= 8.0:
            raise ValueError(f"jitter must be two rising numbers above 0 and up to 8, got {list(self.jitter)}")
        if any(not 0.0 < share <= 1.0 for share in self.decay_at):
            raise ValueError(f"decay_at must be shares of all steps between 0 and 1, got {list(self.decay_at)}")
        return self

    @property
    def trains_encoder(self) -> bool:
        """Whether the image encoder changes; otherwise each sample's embedding is computed once."""
        return not self.only or any(_ENCODER.startswith(name) or name.startswith(_ENCODER) for name in self.only)

    @property
    def peak_learning_rate(self) -> float:
        """Learning rate after warm-up, for the images that a step has."""
        return self.learning_rate * (self.images / self.learning_rate_images if self.learning_rate_images else 1.0)


WITHOUT_EFFECT = frozenset({"workers", "save_seconds"})
"""Settings that may change between two calls of one training run: the weights do not depend on them."""

LARGE_SCALE_JITTER = (0.1, 2.0)

TRAINING_PRESETS: Mapping[str, TrainingSettings] = {
    # A round of the engine: good weights go on with a few thousand masks, on one machine. The paper's drop path is for
    # training from an encoder that has never seen a mask, so here it is low (ours, as are steps and images).
    "retrain": TrainingSettings(steps=1000, images=4, jitter=LARGE_SCALE_JITTER, drop_path=0.1),
    # The released models' recipe (Appendix A).
    "paper": TrainingSettings(),
    # The fully automatic stage's model (Appendix B): longer, with jitter, points and mask prompts only, four points.
    # Its decoder has three layers; ours keeps the checkpoint's two, so that segment_anything can load it.
    "automatic": TrainingSettings(steps=177_656, jitter=LARGE_SCALE_JITTER, box_share=0.0, corrections=3),
}


def training_preset(name: str, changes: Mapping[str, Any], *, where: str = "train") -> TrainingSettings:
    """A preset with changes, which stand in what is called `where`.

    Raises:
        SettingsError: No preset has that name, or a change has a wrong name or value.
    """
    if name not in TRAINING_PRESETS:
        raise SettingsError(f"There is no training preset {name!r}; choose one of: {', '.join(TRAINING_PRESETS)}.")
    try:
        return TrainingSettings.model_validate(TRAINING_PRESETS[name].model_dump() | dict(changes))
    except ValidationError as error:
        raise SettingsError(describe_validation_error(error, name=where)) from None
