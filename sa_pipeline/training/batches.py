"""A step's samples, prepared ahead of time by other processes if wanted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from torch.utils.data import DataLoader, Dataset

from sa_pipeline.errors import AnnotationError, SaPipelineError
from sa_pipeline.training.distributed import Group
from sa_pipeline.training.samples import Prepared, prepare_sample

if TYPE_CHECKING:
    from sa_pipeline.training.loop import Phase

ATTEMPTS = 100
"""Images that are tried for one sample; jitter, or a source with bare images, leaves some without a mask."""


def batches(phase: Phase, seed: int, first: int, end: int, workers: int, group: Group) -> Iterator[list[Prepared]]:
    """This process's samples of each step from `first` up to `end`, counted over all phases.

    Raises:
        SaPipelineError: An image cannot be read, or the source has none with a mask.
    """
    loader: DataLoader[Prepared] = DataLoader(
        _Samples(phase, seed, first, end, group),
        batch_size=phase.images // group.size,
        num_workers=workers,
        collate_fn=list,
        worker_init_fn=_prepare_worker,
        # Forked, OpenCV and OpenMP would wait for threads that the child does not have.
        multiprocessing_context="spawn" if workers else None,
    )
    try:
        yield from loader
    except SaPipelineError as error:
        # From a worker it comes with the whole traceback as its text; the sentence is the last line.
        sentence = (
            str(error).strip().splitlines()[-1].removeprefix(f"{type(error).__module__}.{type(error).__name__}: ")
        )
        raise type(error)(sentence) from error


class _Samples(Dataset[Prepared]):
    """Prepared samples by number, so that a worker process can make them ahead of time."""

    def __init__(self, phase: Phase, seed: int, first: int, end: int, group: Group) -> None:
        self.phase, self.seed, self.first, self.end, self.group = phase, seed, first, end, group

    def __len__(self) -> int:
        return (self.end - self.first) * self.phase.images // self.group.size

    def __getitem__(self, index: int) -> Prepared:
        step, within = divmod(index, self.phase.images // self.group.size)
        number = (self.first + step) * self.phase.images + self.group.rank * self.phase.images // self.group.size
        for attempt in range(ATTEMPTS):
            seed = (self.seed, number + within, attempt)
            rng = np.random.default_rng((*seed, 4))
            scene = self.phase.source.sample(seed)
            prepared = prepare_sample(scene, self.phase.input_size, rng, self.phase.augment, self.phase.jitter)
            if prepared is not None:
                return prepared
        raise AnnotationError(
            f"{ATTEMPTS} images drawn at random had no mask large enough to train on; expected masks on most images."
        )


def _prepare_worker(_worker: int) -> None:
    import signal

    import cv2

    cv2.setNumThreads(1)
    # Ctrl-C reaches every process of the terminal; the one that trains ends the others when it has saved.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
