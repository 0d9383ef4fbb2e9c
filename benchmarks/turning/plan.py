"""What a turn of the circle is made of; kept in its folder, so that a turn goes on as it began."""

from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from sa_pipeline.sam.instructions import is_imitated
from sa_pipeline.settings import DetectorSettings, ImageSettings, PipelineSettings, PlannedRound, RoundsSettings, preset
from sa_pipeline.storage import Storage

PLAN = "plan.json"

TRAINING: dict[str, Any] = {
    "only": [
        "mask_decoder.output_hypernetworks_mlps.2.",
        "mask_decoder.output_hypernetworks_mlps.3.",
        "mask_decoder.iou_prediction_head.",
    ],
    "embedded_samples": 80,
    "precision": "float32" if is_imitated(torch.bfloat16) else "bfloat16",
    "images": 4,
    "masks": 8,
    "box_share": 0.2,
    "corrections": 1,
    "repeats": 0,
    "jitter": [0.8, 1.2],
    "learning_rate": 3e-4,
    "learning_rate_images": None,
    "weight_decay": 0.02,
    "warmup_steps": 20,
    "average_decay": 0.95,
    "save_seconds": 15,
}
"""Changes to the preset `retrain` for `tiny` and some two hundred masks, on a CPU.

The encoder stays as it is, and so does the output for the smallest masks: people make the large ones first, and it was
seen to be drawn away from the small ones within a round. The output for several prompts is written down.
"""

TRAINING_OF_UNDONE: dict[str, Any] = {
    **TRAINING,
    "only": ["mask_decoder.output_hypernetworks_mlps.1.", *TRAINING["only"]],
    "learning_rate": 1e-3,
}
"""Where the heads of all three masks have to be learned anew."""

NOT_WORSE_BY = 0.05
"""Of IoU; a round holds out a dozen masks, on which chance makes as much."""


class Plan(BaseModel):
    """A turn.

    Attributes:
        images: Folder of the photographs.
        references: Their masks, which the simulated people have in mind.
        validation: Photographs that are never in the dataset.
        validation_references: Their masks.
        assisted: Rounds of the first stage.
        per_round: Photographs of a round; a shard has as many.
        steps: Of each retraining.
        detector_steps: Of the training of the detector for the semi-automatic round.
        validated: Photographs that weights are measured on.
        segments: Clicked on in each.
        automatic: Shards of the last stage, after those of the rounds.
        held_out: Share of the dataset's photographs by which weights are promoted.
        undone: Whether the weights at the start draw poor masks.
        by_daemon: Whether Dagster's daemon asks for each step; rounds then draw their photographs by chance.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: Path
    references: Path
    validation: Path
    validation_references: Path
    assisted: int = Field(ge=1)
    per_round: int = Field(ge=1)
    steps: int = Field(ge=1)
    detector_steps: int = Field(ge=1)
    validated: int = Field(ge=1)
    segments: int = Field(ge=1)
    automatic: int = Field(ge=0)
    held_out: float = Field(ge=0.0, lt=1.0)
    undone: bool = False
    by_daemon: bool = False

    def settings(self, checkpoint: Path) -> PipelineSettings:
        """Settings of the dataset, which starts with those weights."""
        fast = preset("fast")
        return fast.model_copy(
            update={
                "checkpoint": str(checkpoint),
                "images": ImageSettings(images_per_shard=self.per_round),
                "detector": DetectorSettings(steps=self.detector_steps),
                "rounds": RoundsSettings(
                    held_out_share=self.held_out,
                    training={**(TRAINING_OF_UNDONE if self.undone else TRAINING), "steps": self.steps},
                    not_worse_by=NOT_WORSE_BY,
                    next=self._rounds() if self.by_daemon else (),
                ),
            }
        )

    def _rounds(self) -> tuple[PlannedRound, ...]:
        assisted = (f"assisted-{number + 1}" for number in range(self.assisted))
        return (
            *(PlannedRound(name=name, max_images=self.per_round) for name in assisted),
            PlannedRound(name="semi-1", stage="semi_automatic", max_images=self.per_round),
        )


def keep_plan(folder: Path, plan: Plan) -> None:
    """Writes the plan down, or sees that the folder's turn has the same.

    Raises:
        SystemExit: The folder holds another turn.
    """
    storage = Storage(folder)
    text = plan.model_dump_json(indent=1)
    if not storage.exists(PLAN):
        storage.write_bytes(PLAN, text.encode())
    elif Plan.model_validate_json(storage.read_bytes(PLAN)) != plan:
        raise SystemExit(f"{folder / PLAN} has another plan; give the same options, or another --output.")
