"""What a simulated person did, to be told at the end."""

from dataclasses import dataclass, field, fields

from simulation.hand import Attempt


@dataclass
class Tally:
    """Counts over tasks.

    Attributes:
        tasks: Finished.
        made: Masks made from nothing and kept.
        left: Objects that took too long.
        kept: Pre-filled masks left as they were.
        mended: Pre-filled masks, or masks that came back, that were changed.
        deleted: Pre-filled masks that were thrown away.
        seconds: Worked on masks that were made and kept.
        clicks: On these.
        strokes: On these.
        ious: Of these with what the person had in mind.
    """

    tasks: int = 0
    made: int = 0
    left: int = 0
    kept: int = 0
    mended: int = 0
    deleted: int = 0
    seconds: float = 0.0
    clicks: int = 0
    strokes: int = 0
    ious: list[float] = field(default_factory=list)

    def add(self, attempt: Attempt, *, kept: bool) -> None:
        """Counts an object that was begun from nothing."""
        if not kept:
            self.left += 1
            return
        self.made += 1
        self.seconds += attempt.seconds
        self.clicks += len(attempt.prompts.point_coords)
        self.strokes += sum(step.tool.value in ("brush", "eraser") for step in attempt.steps)
        self.ious.append(attempt.iou)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})

    def describe(self) -> str:
        """One line."""
        means = ""
        if self.made:
            means = (
                f" ({self.seconds / self.made:.1f} s, {self.clicks / self.made:.1f} clicks, "
                f"{self.strokes / self.made:.1f} strokes a mask, IoU {sum(self.ious) / self.made:.2f})"
            )
        return (
            f"{self.tasks} tasks: {self.made} masks made{means}, {self.left} objects left, "
            f"pre-filled: {self.kept} kept, {self.mended} mended, {self.deleted} deleted"
        )
