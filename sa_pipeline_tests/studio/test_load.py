"""Several people at once on a server that is killed: what `benchmarks/studio_load.py` does with hundreds, in short."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from sa_pipeline.dataset import Dataset
from sa_pipeline.masks.rle import mask_to_counts
from sa_pipeline.studio.database import DATABASE_VARIABLE, open_studio
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.people import add_annotator
from sa_pipeline.studio.pictures import Pictures
from sa_pipeline_tests.studio.browser import ServerProcess

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PEOPLE = 8


def masks_of(size: tuple[int, int]) -> list[str]:
    ragged = np.random.default_rng(0).random((3, *size)) > [[[0.3]], [[0.6]], [[0.99]]]
    return [mask_to_counts(mask) for mask in ragged]


def test_eight_people_lose_and_double_nothing_when_the_server_is_killed(
    studio_dataset: Dataset, database_url: str | None, server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database_url is not None:
        monkeypatch.setenv(DATABASE_VARIABLE, database_url)
    monkeypatch.syspath_prepend(BENCHMARKS)
    from studio_crowd import Crowd, work
    from studio_load import compare

    studio = open_studio(studio_dataset)
    try:
        fill_queue(studio, "load", annotators_per_image=PEOPLE)
        pictures = Pictures(studio_dataset)
        sizes = {(each.height, each.width) for shard in pictures.shards() for each in pictures.of_shard(shard)}
        server.start()
        crowd = Crowd(
            port=server.port,
            tokens={number: add_annotator(studio, f"person {number}") for number in range(PEOPLE)},
            begin=time.monotonic(),
            seconds=4,
            changes=6,
            think_seconds=0.2,
            masks={size: masks_of(size) for size in sizes},
            seed=0,
        )
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(work, crowd)
            time.sleep(2)
            server.kill()
            server.start()
            diaries = done.result()
        assert sum(diary.repeated for diary in diaries) > 0
        assert sum(len(diary.acknowledged) for diary in diaries) > 6 * PEOPLE
        assert compare(studio, diaries) == []
    finally:
        studio.close()
