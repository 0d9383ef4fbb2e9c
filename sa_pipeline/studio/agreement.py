"""How far people who worked on the same picture independently agree (paper §5 reports 85 to 91 % IoU)."""

from collections import defaultdict
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from pycocotools import mask as coco

from sa_pipeline.studio.schema import objects, tasks

MAX_PICTURES = 200
"""That are compared, those finished last: masks are read for it, and whoever asks waits."""

_Masks = list[dict[str, Any]]


def agreements(connection: sa.Connection, in_round: sa.ColumnElement[bool]) -> dict[int, float]:
    """For each person, the mean over the person's masks of the best IoU with a mask of another on the same picture.

    Only finished tasks count, and pictures that at least two people have finished in one round.
    """
    done = sa.and_(in_round, tasks.c.finished_at.is_not(None), tasks.c.annotator_id.is_not(None))
    shared = (
        sa.select(tasks.c.round, tasks.c.image_id)
        .where(done)
        .group_by(tasks.c.round, tasks.c.image_id)
        .having(sa.func.count(sa.distinct(tasks.c.annotator_id)) > 1)
        .order_by(sa.func.max(tasks.c.finished_at).desc())
        .limit(MAX_PICTURES)
        .subquery()
    )
    rows = connection.execute(
        sa.select(
            tasks.c.round, tasks.c.image_id, tasks.c.annotator_id, tasks.c.height, tasks.c.width, objects.c.counts
        )
        .join(shared, sa.and_(shared.c.round == tasks.c.round, shared.c.image_id == tasks.c.image_id))
        .join(objects, objects.c.task_id == tasks.c.task_id)
        .where(done, ~objects.c.deleted, objects.c.area > 0)
    )
    pictures: dict[tuple[str, int], dict[int, _Masks]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        mask = {"size": [row.height, row.width], "counts": row.counts.encode()}
        pictures[row.round, row.image_id][row.annotator_id].append(mask)
    best: dict[int, list[float]] = defaultdict(list)
    for people in pictures.values():
        for one, other in permutations(people, 2):
            best[one].extend(best_ious(people[one], people[other]))
    return {person: float(np.mean(ious)) for person, ious in best.items()}


def best_ious(masks: _Masks, others: _Masks) -> npt.NDArray[np.float64]:
    """For each mask, the IoU with that of the others which it overlaps most.

    Args:
        masks: N COCO run-length encodings.
        others: At least one, of the same size.

    Returns:
        (N,) float64, 0 to 1.
    """
    ious: npt.NDArray[np.float64] = coco.iou(masks, others, [0] * len(others))
    return ious.max(axis=1)
