"""The catalogue says what the files say, and readers and builders never lock each other out."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from pycocotools import mask as coco

from sa_pipeline.artifacts import ArtifactHeader, AssetName, CheckpointRef, writing_table
from sa_pipeline.catalog.build import build_catalog
from sa_pipeline.catalog.query import query, statistics
from sa_pipeline.catalog.tables import TABLES
from sa_pipeline.catalog.views import VIEWS
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.errors import CatalogError
from sa_pipeline.schemas import CANDIDATE_MASKS, DEDUPLICATED_MASKS, FILTERED_MASKS, RAW_IMAGES

CHECKPOINT = CheckpointRef(name="tiny", architecture="tiny", digest="d" * 64)


def _write(
    dataset: Dataset, asset: AssetName, schema: pa.Schema, rows: list[dict[str, object]], shard: str, **counts: int
) -> None:
    header = ArtifactHeader(
        asset=asset, shard=shard, schema_version=1, settings={"a": 1}, inputs={}, checkpoint=CHECKPOINT
    )
    with writing_table(dataset.storage, schema, header) as writer:
        writer.counts.update(counts)
        writer.write(pa.Table.from_pylist(rows, schema=schema))


def _image(image_id: int, status: str) -> dict[str, object]:
    reason = None if status == "ok" else "truncated"
    return {"image_id": image_id, "file_name": f"sa_{image_id}.jpg", "source_uri": "x", "status": status} | {
        "width": 40, "height": 20, "reason": reason, "jpeg": b"pixels"
    }  # fmt: skip


def _mask(mask_id: int, image_id: int) -> dict[str, object]:
    pixels = np.zeros((20, 40), np.uint8, order="F")
    pixels[5:15, 10:30] = 1
    counts = coco.encode(pixels)["counts"].decode()
    return {
        "mask_id": mask_id, "image_id": image_id, "crop_index": 0, "crop_layer": 0, "crop_box": [0, 0, 40, 20],
        "point_coords": [20.0, 10.0], "granularity": "whole", "predicted_iou": 0.9, "stability_score": 1.0,
        "bbox": [10, 5, 19, 9], "area": 200, "size": [20, 40], "counts": counts,
    }  # fmt: skip


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    made = open_dataset(tmp_path, DatasetConfig())
    masks = [_mask(1_000_000, 1), _mask(1_000_001, 1), _mask(1_000_002, 1)]
    rules = [None, None, "stability"]
    verdicts: list[dict[str, object]] = [
        {"mask_id": 1_000_000 + n, "image_id": 1, "kept": rule is None, "dropped_by": rule}
        for n, rule in enumerate(rules)
    ]
    after = {"island_area_removed": 0, "hole_area_filled": 0}
    survivors = [
        masks[0] | after | {"kept": True, "rank": 0},
        masks[1] | after | {"kept": False, "dropped_by": "crop_duplicate", "suppressed_by": 1_000_000},
    ]
    _write(made, AssetName.RAW_IMAGES, RAW_IMAGES, [_image(1, "ok"), _image(2, "rejected")], "000000")
    _write(made, AssetName.CANDIDATE_MASKS, CANDIDATE_MASKS, masks, "000000", proposals=5, below_stability_floor=2)
    _write(made, AssetName.FILTERED_MASKS, FILTERED_MASKS, verdicts, "000000", kept=2, dropped_stability=1)
    _write(made, AssetName.DEDUPLICATED_MASKS, DEDUPLICATED_MASKS, survivors, "000000", kept=1)
    _write(made, AssetName.RAW_IMAGES, RAW_IMAGES, [_image(3, "ok")], "000001")
    return made


def test_a_finished_and_a_begun_shard_are_counted(dataset: Dataset) -> None:
    report = build_catalog(dataset)
    assert report.counts == {
        "shards": 2, "images": 3, "masks": 1, "candidates": 3, "verdicts": 3, "checkpoints": 1, "runs": 0, "artifacts": 5
    }  # fmt: skip
    mask = query(dataset, "SELECT relative_size, center_x, center_y FROM masks").iloc[0]
    assert mask.tolist() == pytest.approx([0.5, 19.5 / 40, 9.5 / 20])
    verdicts = query(dataset, "SELECT dropped_by, suppressed_by FROM verdicts WHERE NOT kept ORDER BY mask_id")
    assert verdicts["dropped_by"].tolist() == ["crop_duplicate", "stability"]
    assert verdicts["suppressed_by"].iloc[0] == 1_000_000


def test_every_view_and_statistic_can_be_asked(dataset: Dataset) -> None:
    build_catalog(dataset)
    for view in VIEWS:
        query(dataset, f"FROM {view}")
    assert all(title for title, _ in statistics(dataset))
    assert query(dataset, "SELECT masks FROM masks_per_image ORDER BY image_id")["masks"].tolist() == [1, 0]


def test_a_reader_keeps_its_file_while_the_catalogue_is_built_anew(dataset: Dataset) -> None:
    build_catalog(dataset)
    with duckdb.connect(str(dataset.catalog_path), read_only=True) as reader:
        assert reader.execute("SELECT count(*) FROM images").fetchone() == (3,)
        build_catalog(dataset)
        assert reader.execute("SELECT count(*) FROM masks").fetchone() == (1,)


def test_errors_say_what_to_do_and_nothing_can_be_written(dataset: Dataset) -> None:
    with pytest.raises(CatalogError, match="sa-pipeline run"):
        query(dataset, "SELECT 1")
    build_catalog(dataset)
    with pytest.raises(CatalogError, match="nowhere"):
        query(dataset, "FROM nowhere")
    with pytest.raises(CatalogError, match="read-only"):
        query(dataset, "DELETE FROM images")


def test_every_table_view_and_column_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "catalog.md").read_text(encoding="utf-8")
    sections = {part.split("`", 2)[1]: part for part in text.split("### ")[1:]}
    for name, (_, schema) in TABLES.items():
        assert all(f"| `{column}` |" in sections[name] for column in schema.names)
    assert all(f"| `{view}` |" in text for view in VIEWS)
