"""Every knob in one typed place, with its unit, range, default and where the default comes from."""

import datetime
import enum
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sa_pipeline.errors import SettingsError, describe_validation_error

MAX_PROPOSALS_PER_IMAGE = 1_000_000
"""Mask ids are `image_id * MAX_PROPOSALS_PER_IMAGE + proposal_index`: readable, unique and below 2**53."""

FIRST_PREFILLED_PROPOSAL = 500_000
"""Numbers from here on are those of masks for the detector's boxes (`stages/prefilled_masks.py`)."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Granularity(enum.StrEnum):
    """The three masks of one point (paper §3, "Resolving ambiguity"), in the decoder's output order."""

    SUBPART = "subpart"
    PART = "part"
    WHOLE = "whole"


class Arithmetic(enum.StrEnum):
    """How the model's sums are done (docs/decisions/arithmetic.md)."""

    REFERENCE = "reference"
    """Bit for bit `segment_anything`'s results at the same `points_per_batch` and number of threads."""
    FLOAT32 = "float32"
    """Sums in another order: logits equal to 1e-5 of the largest."""
    BFLOAT16 = "bfloat16"
    """Products of 16 bits, 8 of them significant; on a GPU, or a CPU that has instructions for them."""
    FLOAT16 = "float16"
    """Products of 16 bits, 11 of them significant; on a GPU only."""


class ImageSettings(_Settings):
    """How images are read and grouped."""

    max_shorter_side: int | None = Field(
        default=1500,
        ge=64,
        description="px; larger images are brought down to it (SA-1B, paper §5); None keeps all",
    )
    min_side: int = Field(default=16, ge=1, description="px; thinner images are rejected as too_small")
    max_pixels: int = Field(
        default=100_000_000,
        ge=1,
        description="px; larger images are rejected before they are decoded (too_large)",
    )
    jpeg_quality: int = Field(default=95, ge=50, le=100, description="of images that must be encoded again")
    images_per_shard: int = Field(default=64, ge=1, le=20_000, description="SA-1B's own tars hold about 11,000")


class DeidentificationSettings(_Settings):
    """Whether faces and licence plates are found and blurred before anything else is made of an image (paper §5).

    Figures beside the defaults: docs/de-identification.md.
    """

    enabled: bool = Field(default=False, description="without it, images are used as they are")
    faces: str | None = Field(
        default="centerface",
        min_length=1,
        description="detector: centerface, the path of a YOLO network (.onnx), or module:attribute of yours; or None",
    )
    license_plates: str | None = Field(
        default=None,
        min_length=1,
        description="detector: the path of a YOLO network (.onnx), or module:attribute of yours; None: none are looked "
        "for",
    )
    min_face_score: float = Field(default=0.25, gt=0.0, lt=1.0, description="faces below are left as they are")
    min_license_plate_score: float = Field(default=0.3, gt=0.0, lt=1.0, description="plates below are left as they are")
    min_face_height: int = Field(
        default=12,
        ge=6,
        le=200,
        description="px; centerface enlarges the image for faces this small",
    )
    extra_boxes: str | None = Field(
        default=None,
        min_length=1,
        description="CSV file with what people found beside: image_id,kind,x,y,width,height; kind is face or "
        "license_plate",
    )
    enlargement: float = Field(default=1.3, ge=1.0, le=3.0, description="factor on a box's sides before it is blurred")


class EmbeddingSettings(_Settings):
    """How image embeddings are stored."""

    dtype: Literal["float16", "float32"] = Field(
        default="float16", description="float32 where masks must equal the reference bit for bit"
    )
    images_per_batch: int = Field(
        default=1, ge=1, le=64, description="images or crops that the encoder takes at once; more suit a GPU"
    )


class MaskSettings(_Settings):
    """The automatic stage (paper §4 and Appendix B).

    The first block is named as the arguments of `segment_anything.SamAutomaticMaskGenerator` and has its defaults;
    with the second block at its defaults, the same masks come out. Settings of the second block are additions.
    """

    points_per_side: int = Field(default=32, ge=1, le=256, description="points per side of the full image's grid")
    points_per_batch: int = Field(default=64, ge=1, le=4096, description="prompts decoded at once; speed and memory")
    pred_iou_thresh: float = Field(
        default=0.88, ge=0.0, le=1.0, description="masks at or below are dropped; 0 keeps all"
    )
    stability_score_thresh: float = Field(
        default=0.95, ge=0.0, le=1.0, description="masks below are dropped; 0 keeps all"
    )
    stability_score_offset: float = Field(default=1.0, ge=0.0, description="shift of the logits' threshold, both ways")
    box_nms_thresh: float = Field(default=0.7, ge=0.0, le=1.0, description="box IoU for suppression within a crop")
    crop_n_layers: int = Field(default=0, ge=0, le=4, description="layers of zoomed-in crops; layer i has 4**i crops")
    crop_nms_thresh: float = Field(default=0.7, ge=0.0, le=1.0, description="box IoU for suppression across crops")
    crop_overlap_ratio: float = Field(
        default=512 / 1500,
        ge=0.0,
        lt=1.0,
        description="overlap of crops, as a share of the image's shorter side",
    )
    crop_n_points_downscale_factor: int = Field(
        default=1, ge=1, description="points per side in layer i are divided by this to the power i"
    )
    min_mask_region_area: int = Field(default=0, ge=0, description="px; smaller islands and holes are cleaned up")

    pred_iou_floor: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="candidates are stored from here on; None: from the threshold on",
    )
    stability_score_floor: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="candidates are stored from here on; None: from the threshold on",
    )
    max_image_cover: float | None = Field(
        default=None,
        gt=0.0,
        le=1.0,
        description="masks covering this share of the image or more are dropped (§B: 0.95)",
    )
    min_area: int = Field(default=0, ge=0, description="px; smaller masks are dropped; 1 drops empty masks")
    drop_small_masks: bool = Field(
        default=False,
        description="clean-up removes a mask whose largest component is below min_mask_region_area (§B); "
        "segment_anything keeps that component",
    )
    mask_nms_thresh: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="IoU of the masks, instead of their boxes, from which the lower-ranked is suppressed",
    )
    mask_containment_thresh: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="with mask_nms_thresh: also suppress when this share of the smaller mask lies within the other",
    )

    @model_validator(mode="after")
    def _floors_below_thresholds(self) -> "MaskSettings":
        for floor, threshold in (
            ("pred_iou_floor", "pred_iou_thresh"),
            ("stability_score_floor", "stability_score_thresh"),
        ):
            value = getattr(self, floor)
            if value is not None and value > getattr(self, threshold):
                raise ValueError(f"{floor} ({value}) must not be above {threshold} ({getattr(self, threshold)})")
        return self

    @model_validator(mode="after")
    def _grid_not_empty_nor_endless(self) -> "MaskSettings":
        if self.points_per_side // self.crop_n_points_downscale_factor**self.crop_n_layers < 1:
            raise ValueError(
                "points_per_side divided by crop_n_points_downscale_factor ** crop_n_layers must be at least 1, "
                f"got {self.points_per_side} / {self.crop_n_points_downscale_factor} ** {self.crop_n_layers}"
            )
        if self.proposals_per_image >= FIRST_PREFILLED_PROPOSAL:
            raise ValueError(
                f"at most {FIRST_PREFILLED_PROPOSAL} proposals an image, these make {self.proposals_per_image}"
            )
        return self

    @property
    def proposals_per_image(self) -> int:
        """Masks that the decoder proposes for one image: three a point, over all crops."""
        layers = range(self.crop_n_layers + 1)
        return sum(
            4**layer * len(Granularity) * int(self.points_per_side / self.crop_n_points_downscale_factor**layer) ** 2
            for layer in layers
        )

    @property
    def candidate_pred_iou_floor(self) -> float:
        """Predicted IoU above which a proposal becomes a candidate."""
        return self.pred_iou_thresh if self.pred_iou_floor is None else self.pred_iou_floor

    @property
    def candidate_stability_score_floor(self) -> float:
        """Stability from which a proposal becomes a candidate."""
        return self.stability_score_thresh if self.stability_score_floor is None else self.stability_score_floor


class QualitySettings(_Settings):
    """Bounds of the asset checks."""

    max_rejected_share: float = Field(default=0.5, ge=0.0, le=1.0, description="of a shard's files; more is an error")
    max_found_again_share: float = Field(
        default=0.1, ge=0.0, le=1.0, description="of blurred faces and plates that are found again; more is a warning"
    )
    min_masks_per_image: float = Field(default=1.0, ge=0.0, description="mean of a shard; fewer is a warning")
    max_masks_per_image: int = Field(default=2000, ge=1, description="on one image; more is a warning")
    min_median_size: float = Field(
        default=0.01, ge=0.0, le=1.0, description="median of sqrt(mask area / image area) in a shard; less is a warning"
    )
    max_median_size: float = Field(
        default=0.5, ge=0.0, le=1.0, description="median of sqrt(mask area / image area) in a shard; more is a warning"
    )
    reference_shards: int = Field(
        default=4, ge=1, description="shards that make the reference which later shards' scores are compared with"
    )
    min_compared_candidates: int = Field(
        default=1000, ge=1, description="of a shard and of the reference; the scores of fewer are not compared"
    )
    max_score_drift: float = Field(
        default=0.2, ge=0.0, le=1.0, description="Kolmogorov-Smirnov distance to the reference; more is a warning"
    )
    max_score_distance: float = Field(
        default=0.6, ge=0.0, le=1.0, description="Kolmogorov-Smirnov distance to the reference; more is an error"
    )


class EvaluationSettings(_Settings):
    """How a model is measured (`sa-pipeline evaluate`)."""

    masks: MaskSettings = Field(description="the automatic stage; its best masks are the proposals")
    max_proposals: int = Field(default=100, ge=1, description="masks an image that are held against the segments")
    min_segment_share: float = Field(
        default=0.001, ge=0.0, lt=1.0, description="of the image's area; smaller segments are not asked for"
    )
    max_clicks: int = Field(default=9, ge=1, le=50, description="simulated clicks on each segment")
    max_segments_per_image: int | None = Field(
        default=None, ge=1, description="clicked on, drawn by chance from those of all people; None: all"
    )
    seed: int = Field(default=0, ge=0, description="of that chance")


class StudioSettings(_Settings):
    """How the annotation studio hands out work and guards itself; no file of the shard flow depends on it."""

    database_url: str | None = Field(
        default=None,
        description="postgresql://USER@HOST/NAME or sqlite:///PATH; None: studio/studio.sqlite of the home. The "
        "environment variable SA_PIPELINE_STUDIO_DATABASE goes before it, so that a password need not stand here",
    )
    lease_seconds: float = Field(default=120.0, gt=0, description="that a task stays its holder's after a sign of life")
    heartbeat_seconds: float = Field(default=30.0, gt=0, description="between two signs of life of an open page")
    guideline_seconds: float = Field(
        default=30.0, gt=0, description="for one mask; the person is to move on after it (paper §4)"
    )
    session_hours: float = Field(default=12.0, gt=0, description="from signing in until the person must do so again")
    pilot_tasks: int = Field(
        default=0, ge=0, description="of a round, done by reviewers and leads before others start; 30 in the paper (§F)"
    )
    annotators_per_image: int = Field(default=1, ge=1, le=100, description="people who work on a picture on their own")
    daily_qa_per_annotator: int = Field(default=5, ge=0, description="finished tasks of a person in the day's QA list")
    requests_per_second: float = Field(default=50.0, gt=0, description="of one person; those above are refused")
    sign_ins_per_minute: int = Field(
        default=10, ge=1, description="with a wrong token, of one network address; those above are refused"
    )
    max_body_bytes: int = Field(default=16_000_000, ge=1_000_000, description="of a request; larger ones are refused")

    @model_validator(mode="after")
    def _heartbeat_within_lease(self) -> "StudioSettings":
        if self.heartbeat_seconds >= self.lease_seconds:
            raise ValueError(
                f"heartbeat_seconds ({self.heartbeat_seconds}) must be below lease_seconds ({self.lease_seconds})"
            )
        return self


class PlannedRound(_Settings):
    """A round of annotation that is to be opened by itself when the one before it is done."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9._-]{0,59}$", description="of the round, such as assisted-2; names its files"
    )
    stage: Literal["assisted_manual", "semi_automatic"] = Field(default="assisted_manual", description="of it (§4)")
    max_images: int | None = Field(default=None, ge=1, description="that it has; None: all that no round has")
    choose: Literal["random", "prominence", "uncertainty"] = Field(
        default="random", description="which images come first (docs/rounds.md)"
    )


class RoundsSettings(_Settings):
    """How people's masks become the next checkpoint, round by round (paper §4); no file of a shard depends on it."""

    held_out_share: float = Field(
        default=0.1,
        ge=0.0,
        lt=1.0,
        description="of images, the same in every round: never trained on, and checkpoints are compared on them",
    )
    training_preset: Literal["retrain", "paper", "automatic"] = Field(
        default="retrain", description="recipe of each retraining (docs/training.md)"
    )
    training: dict[str, Any] = Field(default={}, description="changes to it, such as {steps: 500}; by name of setting")
    encoders: dict[str, str] = Field(
        default={},
        description="rounds whose training starts from a checkpoint of its own because the encoder grows (§4), such "
        "as {assisted-3: vit_b}: a registered name or a path; every other round starts from the weights in use",
    )
    not_worse_by: float = Field(
        default=0.01,
        ge=0.0,
        le=1.0,
        description="mean IoU on held-out images that new weights may lose, at one click and over all numbers of "
        "clicks, and still be promoted",
    )
    max_segments_per_image: int | None = Field(
        default=None, ge=1, description="held-out masks clicked on in one image, drawn by chance; None: all"
    )
    next: tuple[PlannedRound, ...] = Field(
        default=(), description="rounds that the sensor round_done opens one after another; empty: none by itself"
    )

    @model_validator(mode="after")
    def _each_round_once(self) -> "RoundsSettings":
        names = [planned.name for planned in self.next]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"next must name each round once, got {', '.join(twice)} twice")
        return self


class AuditSettings(_Settings):
    """How the quality of exported masks is audited by people (paper §5)."""

    images: int = Field(default=500, ge=1, description="of a new audit round, drawn by chance; 500 in the paper (§5)")
    seed: int = Field(default=0, ge=0, description="of that chance and of the bootstrap's")
    shared_images: float = Field(
        default=0.1, ge=0.0, le=1.0, description="share of the images that several people work on, for their agreement"
    )
    annotators_of_shared: int = Field(default=2, ge=2, le=100, description="people who work on each of these")
    resamples: int = Field(default=2000, ge=100, le=1_000_000, description="of the images, for confidence intervals")
    confidence: float = Field(default=0.95, gt=0.0, lt=1.0, description="of the intervals")
    min_share_over_75: float = Field(
        default=0.9, ge=0.0, le=1.0, description="of the pairs with an IoU over 0.75; less is a warning; 0.97 in §5"
    )
    wrong_below: float = Field(
        default=0.9, gt=0.0, le=1.0, description="IoU with a person's mask; below it the verifier calls a mask wrong"
    )
    min_verifier_examples: int = Field(
        default=30, ge=5, description="masks that people found wrong, and as many not; of fewer nothing is learnt"
    )


class DetectorSettings(_Settings):
    """The box detector of the semi-automatic stage: Faster R-CNN with the one class 'object' (paper §4).

    The paper gives no recipe. The defaults are ours, for a CPU (docs/semi-automatic.md).
    """

    backbone: Literal["small", "mobilenet_v3_large", "resnet50"] = Field(
        default="small", description="small is ours and trains on a CPU; the others are torchvision's, with a pyramid"
    )
    backbone_weights: str | None = Field(
        default=None,
        description="file with torchvision's own weights of the backbone, not for small; None: chance, from the seed",
    )
    input_size: int = Field(default=320, ge=64, description="px, shorter side of the input")
    max_input_size: int = Field(default=512, ge=64, description="px, longer side of the input at most")
    jitter: tuple[float, float] = Field(
        default=(0.75, 1.25), description="range of the factor on the input's size in training"
    )
    steps: int = Field(default=2000, ge=1, description="gradient steps in all")
    images: int = Field(default=2, ge=1, description="a step")
    optimizer: Literal["adamw", "sgd"] = Field(default="adamw", description="sgd has a momentum of 0.9")
    learning_rate: float = Field(default=1e-3, gt=0.0, description="after warm-up; falls to zero along a cosine")
    warmup_steps: int = Field(default=100, ge=1, description="at most a quarter of all steps")
    weight_decay: float = Field(default=0.05, ge=0.0, description="of all weights that are more than a vector")
    max_gradient_norm: float = Field(default=1.0, gt=0.0, description="the gradient is clipped to it")
    min_mask_share: float = Field(
        default=0.0005, ge=0.0, lt=1.0, description="of the image's area; smaller masks are not looked for"
    )
    max_boxes: int = Field(default=100, ge=1, le=500, description="found on one image at most, the best ones")
    box_nms_thresh: float = Field(
        default=0.7, gt=0.0, le=1.0, description="box IoU above which the lower-ranked is a duplicate"
    )
    seed: int = Field(default=0, ge=0, description="of first weights, images and samples")
    save_seconds: float = Field(default=60.0, ge=0.0, description="between two saves; without effect on the result")

    @model_validator(mode="after")
    def _ranges(self) -> "DetectorSettings":
        if not 0.0 < self.jitter[0] <= self.jitter[1] <= 4.0:
            raise ValueError(f"jitter must be two rising numbers above 0 and up to 4, got {list(self.jitter)}")
        if self.max_input_size < self.input_size:
            raise ValueError(f"max_input_size ({self.max_input_size}) must not be below input_size ({self.input_size})")
        if self.backbone == "small" and self.backbone_weights is not None:
            raise ValueError("backbone_weights: there are none for the backbone small, which starts from chance")
        return self


class PrefillSettings(_Settings):
    """Which of the masks that SAM gives for the detector's boxes are shown pre-filled (paper §4, "confident masks").

    Near-duplicates and masks of nearly the whole image are told by `masks`, as in the automatic stage.
    """

    min_box_score: float = Field(default=0.1, ge=0.0, le=1.0, description="of the detector; boxes below are not asked")
    pred_iou_thresh: float = Field(
        default=0.88, ge=0.0, le=1.0, description="masks at or below are dropped; 0 keeps all"
    )
    stability_score_thresh: float = Field(
        default=0.95, ge=0.0, le=1.0, description="masks below are dropped; 0 keeps all"
    )


class CardSettings(_Settings):
    """What only the owner of a dataset can say of it; its cards repeat it, and no file of a shard depends on it."""

    title: str | None = Field(default=None, min_length=1, description="name of the dataset")
    description: str | None = Field(default=None, min_length=1, description="what it holds and what it was made for")
    licence: str | None = Field(
        default=None, min_length=1, description="of images and masks; best the URL of a known licence"
    )
    citation: str | None = Field(default=None, min_length=1, description="how to cite it; best as BibTeX")
    creators: tuple[str, ...] = Field(default=(), description="people or organisations")
    contact: str | None = Field(default=None, min_length=1, description="where to ask, or to ask for a removal")
    url: str | None = Field(default=None, min_length=1, description="page of the dataset")
    version: str | None = Field(
        default=None, pattern=r"^\d+\.\d+\.\d+$", description="of what is published, such as 1.0.0"
    )
    published: datetime.date | None = Field(default=None, description="day of publication, such as 2026-03-01")


class PipelineSettings(_Settings):
    """All settings of one dataset."""

    images: ImageSettings = ImageSettings()
    deidentification: DeidentificationSettings = DeidentificationSettings()
    embeddings: EmbeddingSettings = EmbeddingSettings()
    masks: MaskSettings = MaskSettings()
    quality: QualitySettings = QualitySettings()
    studio: StudioSettings = StudioSettings()
    rounds: RoundsSettings = RoundsSettings()
    audit: AuditSettings = AuditSettings()
    detector: DetectorSettings = DetectorSettings()
    prefill: PrefillSettings = PrefillSettings()
    arithmetic: Arithmetic = Field(
        default=Arithmetic.FLOAT32, description="how sums are done; reference, where no bit may differ"
    )
    images_ahead: int = Field(
        default=2,
        ge=0,
        le=100,
        description="images that are read before the model needs them, and as many that wait to be written; memory "
        "grows with it, content does not change; 0: one step after the other",
    )
    checkpoint: str = Field(
        default="tiny", description="a registered name, or the path of a file in the format of segment_anything"
    )


PRESETS: Mapping[str, PipelineSettings] = {
    # Equal to segment_anything's own generator with its defaults.
    "reference": PipelineSettings(embeddings=EmbeddingSettings(dtype="float32"), arithmetic=Arithmetic.REFERENCE),
    # The fully automatic stage as the paper ran it (§4, Appendix B; released crop_box values for the crops).
    "sa1b": PipelineSettings(
        masks=MaskSettings(
            crop_n_layers=2,
            crop_n_points_downscale_factor=2,
            min_mask_region_area=100,
            pred_iou_floor=0.70,
            stability_score_floor=0.80,
            max_image_cover=0.95,
            min_area=1,
            drop_small_masks=True,
        )
    ),
    # A laptop and the built-in checkpoint: a quarter of the points, no crops. The thresholds suit `tiny` alone, whose
    # scores are lower than the official models' (docs/tiny-model-card.md).
    "fast": PipelineSettings(
        masks=MaskSettings(
            points_per_side=16,
            mask_nms_thresh=0.8,
            min_mask_region_area=100,
            pred_iou_thresh=0.25,
            stability_score_thresh=0.8,
            pred_iou_floor=0.2,
            stability_score_floor=0.7,
            max_image_cover=0.95,
            min_area=1,
            drop_small_masks=True,
        ),
        prefill=PrefillSettings(min_box_score=0.9, pred_iou_thresh=0.25, stability_score_thresh=0.8),
    ),
}


def preset(name: str) -> PipelineSettings:
    """Returns the preset of that name.

    Raises:
        SettingsError: No preset has that name.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise SettingsError(f"There is no preset {name!r}; choose one of: {', '.join(PRESETS)}.") from None


def parse_settings(values: Mapping[str, Any], *, name: str) -> PipelineSettings:
    """Validates nested plain values, such as those read from a settings file called `name`.

    Raises:
        SettingsError: A key is unknown or a value is out of range; the text names file, field and what was expected.
    """
    try:
        return PipelineSettings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(describe_validation_error(error, name=name)) from None
