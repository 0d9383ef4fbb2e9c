"""What travels between the studio's server and its clients, the page in the browser and programs alike.

Times are seconds since 1970 (UTC). Coordinates are px of the task's image, x to the right and y down, at pixel centres.
"""

import enum
import uuid
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    field_validator,
)

MAX_EVENTS_PER_SAVE = 200
MAX_COUNTS_LENGTH = 4_000_000
"""Characters of a mask's compressed run lengths; the most ragged mask of a 2250x1500 picture needs fewer."""
MAX_PINS_PER_REVIEW = 200
MAX_TIME = 253_402_300_799
"""The end of the year 9999, up to which calendars of programs go."""

Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Sentence = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]


def no_null_character(value: object) -> object:
    """Lets through what is no text, or one that a database can hold.

    Raises:
        ValueError: The text has the null character in it.
    """
    if isinstance(value, str) and "\0" in value:
        raise ValueError("a text cannot hold the null character")
    return value


def _no_flag(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


# In requests: pydantic would take "1" and true for numbers, too.
Real = Annotated[float, Strict()]
Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Foreground = Annotated[Literal[0, 1], BeforeValidator(_no_flag)]
PromptLabel = Annotated[Literal[-1, 0, 1, 2, 3], BeforeValidator(_no_flag)]
Output = Annotated[Literal[0, 1, 2, 3], BeforeValidator(_no_flag)]
Point = tuple[Real, Real]
SearchText = Annotated[str, StringConstraints(max_length=200), AfterValidator(no_null_character)]
"""What is looked for, in an address."""


class _Body(BaseModel):
    """A request: unknown fields and numbers without end are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _no_null_character(cls, value: object) -> object:
        return no_null_character(value)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Role(enum.StrEnum):
    """What a person may do; each role may do what the one before may."""

    ANNOTATOR = "annotator"
    REVIEWER = "reviewer"
    LEAD = "lead"


class Stage(enum.StrEnum):
    """The stage of the data engine that a round belongs to (paper §4)."""

    ASSISTED_MANUAL = "assisted_manual"
    SEMI_AUTOMATIC = "semi_automatic"
    AUDIT = "audit"


class TaskState(enum.StrEnum):
    """Where a task stands."""

    OPEN = "open"
    """Waiting for an annotator, or in the hands of one."""
    FINISHED = "finished"
    """Waiting for a reviewer."""
    SENT_BACK = "sent_back"
    """Waiting for the annotator who made it."""
    ACCEPTED = "accepted"
    SKIPPED = "skipped"


class Kind(enum.StrEnum):
    """Of an object: a thing can be counted, stuff cannot."""

    THING = "thing"
    STUFF = "stuff"


class Source(enum.StrEnum):
    """How a mask first came to be."""

    MANUAL = "manual"
    PREFILLED = "prefilled"
    IMPORTED = "imported"


class Tool(enum.StrEnum):
    """What changed an object."""

    CLICK = "click"
    BOX = "box"
    BRUSH = "brush"
    ERASER = "eraser"
    POLYGON_ADD = "polygon_add"
    POLYGON_CUT = "polygon_cut"
    TIDY = "tidy"
    """Holes filled and islands dropped."""
    NO_OVERLAP = "no_overlap"
    LABEL = "label"
    ORDER = "order"
    MERGE = "merge"
    DELETE = "delete"
    UNDO = "undo"
    REDO = "redo"
    PREFILL = "prefill"
    IMPORT = "import"
    CONFIRM = "confirm"
    """The object was looked at and left as it is: a pre-filled mask that is kept."""


class Rle(_Body):
    """A mask as COCO's compressed run lengths, as pycocotools writes them."""

    size: tuple[Whole, Whole] = Field(description="height and width of the task's image, px")
    counts: str = Field(max_length=MAX_COUNTS_LENGTH)


class Prompts(_Body):
    """What SAM was asked with for the mask as it is; empty for a mask that was only painted."""

    point_coords: list[Point] = Field(default=[], max_length=200)
    point_labels: list[Foreground] = Field(default=[], max_length=200)
    box: tuple[Real, Real, Real, Real] | None = Field(default=None, description="XYXY")
    output: Output | None = Field(
        default=None, description="the decoder's output: 0 for several prompts; 1 subpart, 2 part, 3 whole for one"
    )
    predicted_iou: Real | None = None


class ObjectState(_Body):
    """All that is known of one object; each event carries the state that it leads to."""

    object_id: uuid.UUID
    label: Word = Field(default="", description="in the annotator's own words")
    kind: Kind = Kind.THING
    unnameable: Flag = Field(default=False, description="the annotator said: can't name it")
    prominence: Whole = Field(default=0, ge=0, le=100_000, description="0 first; ties by the time of making")
    source: Source = Source.MANUAL
    source_mask_id: Whole | None = Field(
        default=None, ge=0, lt=2**53, description="the automatic mask that it was pre-filled from"
    )
    mask: Rle | None = Field(default=None, description="None: nothing painted yet")
    prompts: Prompts = Prompts()
    deleted: Flag = False


class Event(_Body):
    """One change of one object by one person."""

    op_id: uuid.UUID = Field(description="made by the client; the same id is applied once only")
    tool: Tool
    object: ObjectState
    at: Real = Field(ge=0, le=MAX_TIME, description="the client's clock")
    active_seconds: Real = Field(
        default=0.0, ge=0, le=3600, description="worked since the event before; idle and hidden time left out"
    )


class StoredEvent(Event):
    """An event as it is kept."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = Field(description="of the task after it")
    annotator: str
    received_at: float


class Annotator(_Answer):
    """A person."""

    annotator_id: int
    name: str
    role: Role
    active: bool = True


class SignIn(_Body):
    """A personal token, as `sa-pipeline annotators add` printed it."""

    token: str = Field(min_length=8, max_length=200)


class Session(_Answer):
    """Who is signed in, and what the page must know."""

    annotator: Annotator
    csrf_token: str = Field(description="goes into the header X-CSRF-Token of every request that changes something")
    guideline_seconds: float = Field(description="a mask that takes longer is left (paper §4: 30 s)")
    lease_seconds: float
    heartbeat_seconds: float
    dataset: str = Field(description="name of the dataset's folder")
    round: str | None = Field(description="the round that tasks are handed out from")


class ImageInfo(_Answer):
    """The picture of a task."""

    image_id: int
    file_name: str
    width: int
    height: int
    picture_url: str
    embedding_url: str | None
    checkpoint_digest: str | None = Field(description="of the embedding; None: SAM's help is not to be had")


class ModelInfo(_Answer):
    """What the browser needs to run the mask decoder that belongs to an embedding."""

    checkpoint_digest: str
    name: str
    decoder_url: str = Field(description="ONNX: see sa_pipeline.studio.decoder")
    image_size: int = Field(description="px; the longer side of the image is brought to it, so scale is this / longer")
    embedding_shape: tuple[int, int, int] = Field(description="C, h, w of the float16 little-endian embedding")
    low_res_side: int = Field(description="px; the square logits, the image in their upper left corner")
    mask_threshold: float


class Pin(_Answer):
    """A reviewer's remark at a place of the picture."""

    pin_id: int
    task_id: int
    author: str
    x: float
    y: float
    comment: str
    object_id: uuid.UUID | None
    created_at: float
    resolved_at: float | None


class NewPin(_Body):
    """A remark that a reviewer places."""

    x: Real = Field(ge=0, le=100_000)
    y: Real = Field(ge=0, le=100_000)
    comment: Sentence = Field(min_length=1)
    object_id: uuid.UUID | None = None


class TaskSummary(_Answer):
    """A task without its objects."""

    task_id: int
    round: str
    stage: Stage
    state: TaskState
    pilot: bool
    image: ImageInfo
    version: int
    annotator: str | None = Field(description="who made it, or is making it")
    masks: int
    active_seconds: float
    finished_at: float | None
    open_pins: int
    skip_reason: str | None = None
    review_comment: str = Field(default="", description="what the last review said of the whole picture")


class Lease(_Answer):
    """The right to change a task."""

    lease_token: str
    lease_until: float


class TaskDetail(_Answer):
    """A task in the hands of the person who asked."""

    task: TaskSummary
    lease: Lease | None = Field(description="None: to look at only")
    objects: list[ObjectState] = Field(description="in order of prominence, without deleted ones")
    pins: list[Pin]
    upcoming: list[ImageInfo] = Field(description="pictures that are likely to be next, to be fetched ahead")


class Save(_Body):
    """Changes of a task, in order."""

    lease_token: str = Field(max_length=200)
    base_version: Whole = Field(ge=0, description="the version that the first new event builds on")
    events: list[Event] = Field(min_length=1, max_length=MAX_EVENTS_PER_SAVE)


class Saved(_Answer):
    """The answer to a save; the same for a retry."""

    version: int
    applied: list[uuid.UUID]
    duplicates: list[uuid.UUID] = Field(description="had been applied before")
    lease_until: float


class Heartbeat(_Body):
    """The holder is still there."""

    lease_token: str = Field(max_length=200)


class Finish(_Body):
    """The annotator is done with the picture."""

    lease_token: str = Field(max_length=200)
    version: Whole = Field(ge=0)


class Skip(_Body):
    """The annotator leaves the picture to nobody."""

    lease_token: str = Field(max_length=200)
    reason: Word = Field(min_length=1)


class Verdict(enum.StrEnum):
    """What a reviewer decides."""

    ACCEPTED = "accepted"
    SENT_BACK = "sent_back"


class Review(_Body):
    """A reviewer's decision; sent back only with at least one pin."""

    lease_token: str = Field(max_length=200)
    version: Whole = Field(ge=0)
    verdict: Verdict
    pins: list[NewPin] = Field(default=[], max_length=MAX_PINS_PER_REVIEW)
    comment: Sentence = ""


class LabelUse(_Answer):
    """A label that was used before."""

    label: str
    kind: Kind
    uses: int


class Progress(_Answer):
    """A person's day and the round's state."""

    masks_today: int
    tasks_today: int
    active_seconds_today: float
    seconds_per_mask_today: float | None
    round: str | None
    round_tasks: dict[TaskState, int]
    pilot_tasks_left: int = Field(description="until they are accepted, only reviewers and leads are given tasks")


class Feedback(_Answer):
    """What came back to the person: shown first."""

    sent_back: list[TaskSummary]
    pins: list[Pin]
    waiting: int = Field(description="pictures of the person's that wait for review")
    accepted_today: int


class AnnotatorStatistics(_Answer):
    """How one person works."""

    annotator: str
    tasks: int
    masks: int
    active_seconds: float
    seconds_per_mask: float | None
    clicks_per_mask: float | None
    accepted: int
    sent_back: int
    acceptance: float | None = Field(description="share of reviewed tasks that were accepted at the first review")
    agreement: float | None = Field(description="mean best IoU with another person's masks on the same picture")


class GuidelineCase(_Answer):
    """An unclear case that a pilot task brought up, with its answer once there is one."""

    case_id: int
    task_id: int
    image: ImageInfo
    x: float
    y: float
    question: str
    author: str
    answer: str | None
    created_at: float


class NewCase(_Body):
    """An unclear case, marked on the picture."""

    task_id: Whole = Field(ge=1, lt=2**31)
    x: Real = Field(ge=0, le=100_000)
    y: Real = Field(ge=0, le=100_000)
    question: Sentence = Field(min_length=1)


class CaseAnswer(_Body):
    """What the guidelines shall say about a case."""

    answer: Sentence = Field(min_length=1)


class Guidelines(_Answer):
    """What annotators are told."""

    html: str = Field(description="made from guidelines.md of the studio's folder; no scripts")
    cases: list[GuidelineCase] = Field(description="the answered ones")


class MaskSource(enum.StrEnum):
    """Which masks are looked at."""

    AUTOMATIC = "automatic"
    PREFILLED = "prefilled"
    HUMAN = "human"


class BrowsedMask(_Answer):
    """A mask with where it came from."""

    source: MaskSource
    mask_id: int | None = Field(description="of an automatic mask")
    object_id: uuid.UUID | None = Field(description="of a human or pre-filled one")
    mask: Rle
    bbox: tuple[int, int, int, int] = Field(description="XYWH")
    area: int
    label: str | None
    kind: Kind | None
    predicted_iou: float | None
    stability_score: float | None
    point_coords: list[Point]
    annotator: str | None
    round: str | None
    checkpoint: str | None = Field(description="name and digest of the weights that answered the prompts")
    tools: list[Tool] = Field(description="that shaped it, in order of first use")


class BrowsedImage(_Answer):
    """A picture and how many of its masks pass the filter."""

    image: ImageInfo
    source_uri: str
    masks: int


class BrowsedImages(_Answer):
    """A page of pictures."""

    images: list[BrowsedImage]
    next_cursor: int | None


class Decode(_Body):
    """Asks the server to run the mask decoder, for a browser that cannot."""

    checkpoint_digest: str = Field(max_length=100)
    point_coords: list[Point] = Field(
        min_length=1, max_length=200, description="px of the decoder's input (image px times scale)"
    )
    point_labels: list[PromptLabel] = Field(
        min_length=1, max_length=200, description="1 foreground, 0 background, 2 and 3 a box's corners, -1 padding"
    )
    mask_input: str | None = Field(
        default=None, max_length=1_000_000, description="base64 of float32 little-endian (low_res_side, low_res_side)"
    )


class Decoded(_Answer):
    """The decoder's four outputs."""

    low_res_masks: str = Field(description="base64 of float32 little-endian (4, low_res_side, low_res_side) logits")
    iou_predictions: tuple[float, float, float, float]


class Problem(_Answer):
    """Why a request was refused, in a sentence."""

    detail: str
    code: str = Field(description="one word for programs, such as lease_lost, stale_version, not_found")
    version: int | None = Field(default=None, description="of the task, where it matters")


class Health(_Answer):
    """Whether the server can do its work."""

    status: Literal["ok"]
    database: str = Field(description="sqlite or postgresql")
    tasks: int
