"""A simulated annotator: takes tasks from the studio and works on them until there are none (paper §4)."""

import time
import uuid
from collections.abc import Sequence

import numpy as np

from sa_pipeline.masks.rle import counts_to_mask, mask_to_counts
from sa_pipeline.studio.models import Event, ObjectState, Rle, Source, Stage, StoredEvent, TaskState, Tool
from simulation import habits, hand
from simulation.hand import Attempt
from simulation.sight import Sight
from simulation.studio import Client, Decoders, Desk, operation
from simulation.tally import Tally
from simulation.truth import Mask, Truth, Wanted, best_match, iou

_UNKNOWN = "nobody knows what is on it"
_BY_A_PERSON = frozenset(Tool) - {Tool.PREFILL, Tool.IMPORT}


class Annotator:
    """Somebody who works on tasks."""

    def __init__(self, client: Client, truth: Truth, decoders: Decoders) -> None:
        self.client, self.truth, self.decoders = client, truth, decoders
        self.tally = Tally()

    def work(self) -> int:
        """Works on tasks until there are none; returns how many."""
        done = 0
        while (desk := self.client.next_task()) is not None:
            self._work_on(desk)
            done += 1
        return done

    def _work_on(self, desk: Desk) -> None:
        task = desk.detail.task
        index = self.truth.recognise(desk.pixels())
        if index is None:
            desk.skip(_UNKNOWN)
            return
        visit = _Visit(desk, self.truth.everything(index), desk.sight(self.decoders), self.tally)
        if task.state is TaskState.SENT_BACK:
            visit.mend_what_came_back()
        elif task.stage is Stage.AUDIT:
            visit.perfect_masks()
        else:
            visit.judge_masks()
            visit.add_objects(self.truth.wanted(index, task.task_id))
        desk.finish()
        self.tally.tasks += 1


class _Visit:
    """One person at one picture. What an earlier visit that broke off has saved is not done again."""

    def __init__(self, desk: Desk, everything: list[Mask], sight: Sight, tally: Tally) -> None:
        self.desk, self.everything, self.sight, self.tally = desk, everything, sight, tally
        self.objects = {state.object_id: state for state in desk.detail.objects}
        mine = [event for event in desk.history() if event.tool in _BY_A_PERSON]
        self.seconds = sum(event.active_seconds for event in mine)
        self.touched = {event.object.object_id for event in mine}
        self.left = len(_left(mine))
        self.masks = {key: pixels_of(state) for key, state in self.objects.items() if state.mask is not None}

    def judge_masks(self) -> None:
        """Keeps, mends or throws away each pre-filled mask."""
        for object_id, mask in list(self.masks.items()):
            if object_id in self.touched or self.objects[object_id].source is Source.MANUAL:
                continue
            overlap, match = best_match(mask, self.everything)
            if overlap >= habits.KEEP_IOU:
                self._say(object_id, Tool.CONFIRM, habits.JUDGE_SECONDS)
                self.tally.kept += 1
            elif match is not None and overlap >= habits.MEND_IOU:
                attempt = hand.mend(self.sight, self.everything[match], mask, habits.JUDGE_SECONDS)
                self._keep_or_leave(object_id, attempt, mended=True)
            else:
                self._say(object_id, Tool.DELETE, habits.JUDGE_SECONDS)
                self.tally.deleted += 1

    def add_objects(self, wanted: Sequence[Wanted]) -> None:
        """Makes the masks that are missing, most prominent first, while time and patience last."""
        for each in wanted:
            if self.seconds >= habits.PICTURE_SECONDS or self.left >= habits.PATIENCE:
                return
            object_id = operation("object", self.desk.detail.task.task_id, each.number)
            if object_id in self.touched:
                continue
            if any(iou(each.mask, mask) >= habits.COVERED_IOU for mask in self.masks.values()):
                continue
            self.objects[object_id] = ObjectState(
                object_id=object_id, label=each.label, unnameable=not each.label, prominence=16 * len(self.touched)
            )
            attempt = hand.make(self.sight, each.mask)
            self._keep_or_leave(object_id, attempt, mended=False)

    def mend_what_came_back(self) -> None:
        """Does what the reviewer's remarks say."""
        for pin in self.desk.detail.pins:
            if pin.resolved_at is not None:
                continue
            if pin.object_id is not None and pin.object_id in self.masks:
                mask = self.masks[pin.object_id]
                overlap, match = best_match(mask, self.everything)
                if match is None or overlap == 0:
                    self._say(pin.object_id, Tool.DELETE, habits.JUDGE_SECONDS)
                else:
                    attempt = hand.mend(self.sight, self.everything[match], mask)
                    self._keep_or_leave(pin.object_id, attempt, mended=True)
            self.desk.settle(pin.pin_id)

    def perfect_masks(self) -> None:
        """Brings each mask that means an object to where no error is seen, however long that takes."""
        for object_id, mask in list(self.masks.items()):
            if object_id in self.touched:
                continue
            overlap, match = best_match(mask, self.everything)
            attempt = (
                hand.perfect(self.everything[match], mask) if match is not None and overlap >= habits.MEND_IOU else None
            )
            if attempt is not None and attempt.steps:
                self._save(object_id, attempt)
                self.tally.mended += 1
            else:
                self._say(object_id, Tool.CONFIRM, habits.JUDGE_SECONDS)
                self.tally.kept += 1

    def _keep_or_leave(self, object_id: uuid.UUID, attempt: Attempt, *, mended: bool) -> None:
        good = attempt.iou >= habits.ENOUGH_IOU
        self._save(object_id, attempt, throw_away=not good)
        if good:
            self.masks[object_id] = attempt.mask
        else:
            self.masks.pop(object_id, None)
        if mended:
            self.tally.mended += good
            self.tally.deleted += not good
        else:
            self.tally.add(attempt, kept=good)
            self.left += not good

    def _say(self, object_id: uuid.UUID, tool: Tool, seconds: float) -> None:
        """Saves a change that leaves the mask as it is."""
        state = self.objects[object_id].model_copy(update={"deleted": tool is Tool.DELETE})
        if tool is Tool.DELETE:
            del self.masks[object_id]
        self._send(object_id, [(tool, state, seconds)])

    def _save(self, object_id: uuid.UUID, attempt: Attempt, *, throw_away: bool = False) -> None:
        """Saves all that was done for an object at once, so that it is there as a whole or not at all."""
        state = self.objects[object_id]
        changes = []
        for step in attempt.steps:
            mask = Rle(size=self.desk.size, counts=mask_to_counts(np.asarray(step.mask)))
            state = state.model_copy(update={"mask": mask, "prompts": step.prompts})
            changes.append((step.tool, state, step.seconds))
        if throw_away:
            changes.append((Tool.DELETE, state.model_copy(update={"deleted": True}), habits.UNDO_SECONDS))
        elif state.label and state.source is Source.MANUAL:
            changes.append((Tool.LABEL, state, habits.NAME_SECONDS))
        self._send(object_id, changes)

    def _send(self, object_id: uuid.UUID, changes: Sequence[tuple[Tool, ObjectState, float]]) -> None:
        task_id, now = self.desk.detail.task.task_id, time.time()
        events = [
            Event(
                op_id=operation("event", task_id, self.desk.version + number),
                tool=tool,
                object=state,
                at=now + sum(seconds for _, _, seconds in changes[: number + 1]),
                active_seconds=seconds,
            )
            for number, (tool, state, seconds) in enumerate(changes)
        ]
        self.desk.save(events)
        self.desk.stay()
        self.objects[object_id] = changes[-1][1]
        self.touched.add(object_id)
        self.seconds += sum(event.active_seconds for event in events)


def _left(events: Sequence[StoredEvent]) -> set[uuid.UUID]:
    """Objects that the person made and threw away."""
    return {event.object.object_id for event in events if event.object.deleted and event.object.source is Source.MANUAL}


def pixels_of(state: ObjectState) -> Mask:
    """The mask (H, W) of an object that has one."""
    assert state.mask is not None
    return np.ascontiguousarray(counts_to_mask(state.mask.counts, state.mask.size))
