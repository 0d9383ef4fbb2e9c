"""Segmenting objects by simulated clicks with a model, as a person would (paper §7.1 and Appendix D.1)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from segment_anything.modeling import Sam

from sa_pipeline.evaluation.clicks import Click, centre_click, correction_click
from sa_pipeline.evaluation.overlaps import encode_masks
from sa_pipeline.sam.inference import FULL_SIZE_PIXELS_AT_ONCE, decode_clicks, upscale_logits

OBJECTS_AT_ONCE = 64


@dataclass(frozen=True)
class ClickedMask:
    """A mask that the model gave for one object.

    Attributes:
        target: Number of the object.
        clicks: How many clicks the model had been given, from 1.
        output: Which of the three masks for one click (0 to 2); 0 where several clicks give one mask.
        chosen: Whether it has the highest predicted IoU of its click's masks: the one that is corrected next.
        predicted_iou: By the model.
        iou: With the object.
        click: The last click; None where the mask was right already, so that it stayed as it was.
        counts: The mask as COCO compressed run lengths.
    """

    target: int
    clicks: int
    output: int
    chosen: bool
    predicted_iou: float
    iou: float
    click: Click | None
    counts: str


def segment_by_clicks(
    sam: Sam, embedding: torch.Tensor, targets: Sequence[npt.NDArray[np.bool_]], max_clicks: int
) -> Iterator[ClickedMask]:
    """Clicks on each object up to `max_clicks` times.

    The first click lies at the object's centre and gives three masks, of which the one with the highest predicted IoU
    goes on; each next one lies at the centre of the error. From the second on, the model gets all clicks and the
    logits of its last mask, and gives one mask.

    Args:
        sam: The model.
        embedding: (1, C, h, w) of the image.
        targets: N objects of one image, (H, W) bool each, none empty.
        max_clicks: At least 1.

    Yields:
        Three masks for the first click and one for every further click of every object, in no particular order.
    """
    for start in range(0, len(targets), OBJECTS_AT_ONCE):
        batch = np.stack(targets[start : start + OBJECTS_AT_ONCE])
        yield from _Session(sam, embedding, batch, start).run(max_clicks)


class _Session:
    """Some objects of one image while they are clicked on."""

    def __init__(self, sam: Sam, embedding: torch.Tensor, targets: npt.NDArray[np.bool_], first: int) -> None:
        self.sam, self.embedding, self.targets, self.first = sam, embedding, targets, first
        self.size: tuple[int, int] = targets.shape[1:]
        self.areas = targets.sum(axis=(1, 2))
        self.clicks = [[centre_click(target)] for target in targets]
        self.masks = np.zeros_like(targets)
        self.last: dict[int, ClickedMask] = {}
        self.logits: torch.Tensor

    def run(self, max_clicks: int) -> Iterator[ClickedMask]:
        yield from self._first_click()
        for number in range(2, max_clicks + 1):
            wrong = [index for index in range(len(self.targets)) if self._click_again(index)]
            fixed = sorted(set(range(len(self.targets))) - set(wrong))
            yield from (self._repeat(index, number) for index in fixed)
            if wrong:
                yield from self._correct(np.array(wrong), number)

    def _first_click(self) -> Iterator[ClickedMask]:
        everyone = np.arange(len(self.targets))
        logits, predicted = self._decode(everyone, None)
        chosen = predicted.argmax(axis=1)
        for output in range(logits.shape[1]):
            masks = self._full_size(logits[:, output])
            picked = chosen == output
            self.masks[picked] = masks[picked]
            yield from self._describe(everyone, masks, predicted[:, output], 1, output, picked)
        self.logits = logits[torch.arange(len(logits)), torch.as_tensor(chosen, device=logits.device)][:, None]

    def _correct(self, objects: npt.NDArray[np.int64], number: int) -> Iterator[ClickedMask]:
        logits, predicted = self._decode(objects, self.logits[objects])
        self.logits[objects] = logits
        self.masks[objects] = self._full_size(logits[:, 0])
        yield from self._describe(
            objects, self.masks[objects], predicted[:, 0], number, 0, np.ones(len(objects), np.bool_)
        )

    def _click_again(self, index: int) -> bool:
        click = correction_click(self.masks[index], self.targets[index], self.clicks[index])
        # An object without an error has had fewer clicks than the others from then on; it is not asked again.
        if click is None or self.last[index].click is None:
            return False
        self.clicks[index].append(click)
        return True

    def _repeat(self, index: int, number: int) -> ClickedMask:
        last = self.last[index]
        repeated = ClickedMask(last.target, number, 0, True, last.predicted_iou, last.iou, None, last.counts)
        self.last[index] = repeated
        return repeated

    def _decode(
        self, objects: npt.NDArray[np.int64], logits: torch.Tensor | None
    ) -> tuple[torch.Tensor, npt.NDArray[np.float32]]:
        clicks = [self.clicks[index] for index in objects]
        points = np.array([[(click.x, click.y) for click in of_one] for of_one in clicks], np.float64)
        labels = np.array([[int(click.foreground) for click in of_one] for of_one in clicks], np.int64)
        decoded, predicted = decode_clicks(self.sam, self.embedding, points, labels, self.size, logits)
        return decoded, predicted.float().cpu().numpy()

    def _full_size(self, logits: torch.Tensor) -> npt.NDArray[np.bool_]:
        at_once = max(1, FULL_SIZE_PIXELS_AT_ONCE // (self.size[0] * self.size[1]))
        parts = [upscale_logits(self.sam, part, self.size) > self.sam.mask_threshold for part in logits.split(at_once)]
        return np.asarray(torch.cat(parts).cpu().numpy())

    def _describe(
        self,
        objects: npt.NDArray[np.int64],
        masks: npt.NDArray[np.bool_],
        predicted: npt.NDArray[np.float32],
        number: int,
        output: int,
        chosen: npt.NDArray[np.bool_],
    ) -> Iterator[ClickedMask]:
        intersections = (masks & self.targets[objects]).sum(axis=(1, 2))
        ious = intersections / (masks.sum(axis=(1, 2)) + self.areas[objects] - intersections)
        for row, (index, counts) in enumerate(zip(objects, encode_masks(masks), strict=True)):
            mask = ClickedMask(
                target=self.first + int(index),
                clicks=number,
                output=output,
                chosen=bool(chosen[row]),
                predicted_iou=float(predicted[row]),
                iou=float(ious[row]),
                click=self.clicks[index][-1],
                counts=counts,
            )
            if mask.chosen:
                self.last[int(index)] = mask
            yield mask
