"""What rounds retrained, as rows of the catalogue: which weights came from which, and from which masks."""

from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from sa_pipeline.checkpoint_history import promotion_in_use, read_promotions
from sa_pipeline.dataset import Dataset
from sa_pipeline.round_checkpoints import TRAINED_ON, RoundCheckpoint, list_made_checkpoints
from sa_pipeline.schemas import TRAINED_MASKS


def load_checkpoints(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> None:
    """Fills `checkpoint_rounds` and `training_masks`, which are there and empty.

    Raises:
        ArtifactError: The file of promotions is damaged.
        StorageError: The list of a checkpoint's masks is gone.
    """
    promoted = {change.checkpoint.digest for change in read_promotions(dataset.storage).changes}
    current = promotion_in_use(dataset)
    in_use = current.checkpoint.digest if current else None
    for made in list_made_checkpoints(dataset.storage):
        digest = made.checkpoint.digest
        _insert(connection, "checkpoint_rounds", [_row(made, promoted=digest in promoted, in_use=digest == in_use)])
        with dataset.storage.reading(f"{made.folder}/{TRAINED_ON}") as file:
            masks = pq.read_table(file, columns=TRAINED_MASKS.names)
        masks = masks.append_column("checkpoint_digest", pa.array([digest] * masks.num_rows, pa.string()))
        _insert(connection, "training_masks", masks)


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table | list[dict[str, Any]]) -> None:
    connection.register("new_rows", rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows))
    connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM new_rows")  # noqa: S608  # names of our own
    connection.unregister("new_rows")


def _row(made: RoundCheckpoint, *, promoted: bool, in_use: bool) -> dict[str, Any]:
    evaluation = made.evaluation
    figures: dict[str, float | None] = {}
    for prefix, found in (("", evaluation.new), ("parent_", evaluation.parent)):
        figures |= {
            f"{prefix}iou_1_click": found.clicks.get(1),
            f"{prefix}iou_over_clicks": found.mean,
            f"{prefix}iou_best_of_three": found.best_of_three,
        }
    return {
        "checkpoint_digest": made.checkpoint.digest,
        "round": made.header.partition,
        "architecture": made.checkpoint.architecture,
        "parent": made.parent.name,
        "parent_digest": made.parent.digest,
        "not_worse": made.promoted,
        "promoted": promoted,
        "in_use": in_use,
        "images": made.images,
        "masks": made.masks,
        "steps": made.steps,
        "seconds": made.seconds,
        "held_out_images": evaluation.images,
        "held_out_masks": evaluation.masks,
        **figures,
    }
