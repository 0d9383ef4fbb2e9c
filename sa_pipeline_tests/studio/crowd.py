"""Several people at once in a studio to which something happens; `benchmarks/studio_load.py` does so with hundreds."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from sa_pipeline.dataset import Dataset
from sa_pipeline.masks.rle import mask_to_counts
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.people import add_annotator
from sa_pipeline.studio.pictures import Pictures
from sa_pipeline_tests.studio.browser import ServerProcess

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PEOPLE = 8


def work_through(
    fault: Callable[[], None], dataset: Dataset, server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight people annotate for some seconds, in the middle of which a fault happens and is mended.

    Every change that they were told is saved must be in the database once, and every task in one person's hands.
    """
    monkeypatch.syspath_prepend(BENCHMARKS)
    from studio_crowd import Crowd, work
    from studio_load import compare

    studio = open_studio(dataset)
    fill_queue(studio, "load", annotators_per_image=PEOPLE)
    tokens = {number: add_annotator(studio, f"person {number}") for number in range(PEOPLE)}
    studio.close()
    pictures = Pictures(dataset)
    sizes = {(each.height, each.width) for shard in pictures.shards() for each in pictures.of_shard(shard)}
    server.start()
    crowd = Crowd(
        port=server.port,
        tokens=tokens,
        begin=time.monotonic(),
        seconds=4,
        changes=6,
        think_seconds=0.2,
        masks={size: _masks_of(size) for size in sizes},
        seed=0,
    )
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work, crowd)
        time.sleep(2)
        fault()
        diaries = done.result()
    studio = open_studio(dataset)
    assert compare(studio, diaries) == []
    studio.close()
    assert sum(diary.repeated for diary in diaries) > 0, "nobody noticed the fault"
    assert sum(len(diary.acknowledged) for diary in diaries) > 6 * PEOPLE


def _masks_of(size: tuple[int, int]) -> list[str]:
    ragged = np.random.default_rng(0).random((3, *size)) > [[[0.3]], [[0.6]], [[0.99]]]
    return [mask_to_counts(mask) for mask in ragged]
