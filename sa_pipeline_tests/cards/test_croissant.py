"""Croissant's own library accepts the metadata, and finds in the tars what it describes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sa_pipeline.artifacts import export_tar_name
from sa_pipeline.cards.write import write_cards
from sa_pipeline.dataset import Dataset, open_dataset
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.sa1b.reader import read_tar
from sa_pipeline.settings import CardSettings

STATED = CardSettings(
    title="Four photographs",
    description="Made for a test.",
    licence="https://spdx.org/licenses/CC0-1.0",
    citation="@misc{four}",
    creators=("Somebody",),
    url="https://example.org/four",
    version="1.0.0",
    published="2026-03-01",  # type: ignore[arg-type]  # as YAML has it
)

# The library keeps what it unpacks under a path that is fixed at its import: a process of its own.
READ = """
import json, sys
import jsonpath_rw, mlcroissant
dataset = mlcroissant.Dataset(sys.argv[1])
images = [
    (int(row["images/image_id"]), row["images/file_name"].decode(), row["images/content"].size)
    for row in dataset.records("images")
]
(masks,) = [record_set for record_set in dataset.metadata.record_sets if record_set.id == "masks"]
paths = {field.id: field.source.extract.json_path for field in masks.fields if field.source.extract.json_path}
records = [json.loads(line) for line in sys.stdin]
found = {
    name: [match.value for record in records for match in jsonpath_rw.parse(path).find(record)]
    for name, path in paths.items()
}
issues = dataset.metadata.ctx.issues
print("RESULT" + json.dumps({
    "errors": list(issues.errors), "warnings": list(issues.warnings), "images": images, "masks": found,
    "license": dataset.metadata.license, "version": dataset.metadata.version,
}, default=str))
"""


def read_with_mlcroissant(dataset: Dataset, metadata: Path, cache: Path) -> dict[str, Any]:
    records = [record for shard in list_shards(dataset.storage) for _, record in read_tar(tar_of(dataset, shard))]
    done = subprocess.run(
        [sys.executable, "-c", READ, str(metadata)],
        input="\n".join(record.model_dump_json() for record in records),
        capture_output=True,
        text=True,
        env=os.environ | {"CROISSANT_CACHE": str(cache)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.split("RESULT", 1)[1])
    return result


def tar_of(dataset: Dataset, shard: str) -> Path:
    return dataset.home / export_tar_name(shard)


@pytest.mark.parametrize("beside", [True, False])
def test_mlcroissant_validates_it_and_reads_the_images(exported, tmp_path, beside) -> None:
    dataset = open_dataset(exported.home, exported.config.model_copy(update={"card": STATED}))
    written = write_cards(dataset, None if beside else tmp_path / "elsewhere")
    result = read_with_mlcroissant(dataset, Path(written.files["croissant.json"]), tmp_path / "cache")
    assert (result["errors"], result["warnings"]) == ([], [])
    assert (result["license"], result["version"]) == ([STATED.licence], "1.0.0")
    records = [record for shard in list_shards(dataset.storage) for _, record in read_tar(tar_of(dataset, shard))]
    expected = [[r.image.image_id, r.image.file_name, [r.image.width, r.image.height]] for r in records]
    assert sorted(result["images"]) == expected
    masks = [mask for record in records for mask in record.annotations]
    assert len(result["masks"]) == 9
    assert {len(values) for values in result["masks"].values()} == {len(masks)}
    assert result["masks"]["masks/counts"] == [mask.segmentation.counts for mask in masks]
    assert result["masks"]["masks/bbox"] == [list(mask.bbox) for mask in masks]


def test_every_tar_is_named_with_its_size_and_digest(exported) -> None:
    metadata = json.loads(Path(write_cards(exported).files["croissant.json"]).read_text())
    files = [item for item in metadata["distribution"] if item["@type"] == "cr:FileObject"]
    for item, shard in zip(files, list_shards(exported.storage), strict=True):
        assert (exported.home / "cards" / item["contentUrl"]).resolve() == tar_of(exported, shard).resolve()
        assert item["sha256"] == exported.storage.digest(export_tar_name(shard))
        assert item["contentSize"] == f"{tar_of(exported, shard).stat().st_size} B"
