"""A simulated reviewer: accepts finished tasks, and sends back, once, those with a mask that means no object well."""

import numpy as np

from sa_pipeline.studio.models import NewPin, Stage, Verdict
from simulation import habits
from simulation.annotator import pixels_of
from simulation.studio import Client, Desk
from simulation.truth import Truth, best_match


class Reviewer:
    """Somebody who looks at what others have finished."""

    def __init__(self, client: Client, truth: Truth) -> None:
        self.client, self.truth = client, truth
        self.accepted = 0
        self.sent_back = 0

    def work(self) -> int:
        """Reviews until nothing waits; returns how many tasks."""
        done = 0
        while (desk := self.client.next_review()) is not None:
            self._review(desk)
            done += 1
        return done

    def _review(self, desk: Desk) -> None:
        pins = [] if desk.detail.pins or desk.detail.task.stage is Stage.AUDIT else self._remarks(desk)
        if pins:
            desk.decide(Verdict.SENT_BACK, pins)
            self.sent_back += 1
        else:
            desk.decide(Verdict.ACCEPTED, [])
            self.accepted += 1

    def _remarks(self, desk: Desk) -> list[NewPin]:
        index = self.truth.recognise(desk.pixels())
        if index is None:
            return []
        everything = self.truth.everything(index)
        pins = []
        for state in desk.detail.objects:
            if state.mask is None:
                continue
            mask = pixels_of(state)
            if mask.any() and best_match(mask, everything)[0] < habits.REVIEW_IOU:
                rows, columns = np.nonzero(mask)
                x, y = float(columns[len(columns) // 2]), float(rows[len(rows) // 2])
                pins.append(NewPin(x=x, y=y, comment="What is this?", object_id=state.object_id))
        return pins
