"""How fast `sa-pipeline verify` is: beside `sha256sum` over the same files, and beside a plain loop over all records.

    python benchmarks/verify.py --export masks/sa1b_export           # copies of your own exports, in more shards
    python benchmarks/verify.py --export masks/sa1b_export --gb 2 --home masks

`--gb` says how much is made of copies: images get new numbers, so that every shard is an export of its own. `sha256sum`
reads the tars only; `verify` also holds each of their files against the index and each record, mask and image against
the format. The loop does with `json` and `pycocotools` what a careful reader would write first: it decodes every mask
and compares area and box; it is timed on the first shard and reckoned up, since it takes long. With `--home`, the whole
dataset that lies there is verified too. All files are read once before, so that each finds them in the page cache.
"""

import argparse
import json
import os
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pycocotools import mask as coco

from sa_pipeline.sa1b.reader import read_tar
from sa_pipeline.sa1b.records import Record, image_name
from sa_pipeline.sa1b.writer import ExportImage, write_shard
from sa_pipeline.settings import MAX_PROPOSALS_PER_IMAGE
from sa_pipeline.verification.findings import VerificationReport
from sa_pipeline.verification.place import find_place
from sa_pipeline.verification.verify import verify

IMAGES_PER_SHARD = 64


def main() -> None:
    """Makes the copies, times all, prints the table."""
    arguments = _parse()
    with tempfile.TemporaryDirectory(prefix="sa_pipeline-verify-") as scratch:
        folder = Path(scratch)
        shards = _multiply(arguments.export, folder, int(arguments.gb * 1e9))
        tars = sorted(folder.glob("*.tar"))
        size = sum(path.stat().st_size for path in folder.iterdir())
        for path in tars:
            path.read_bytes()
        hashed = min(_seconds_of_sha256sum(tars) for _ in range(arguments.repeats))
        rows = [("sha256sum, one process", hashed, 1.0)]
        for jobs in sorted({1, os.cpu_count() or 1}):
            report = _best(str(folder), jobs, arguments.repeats)
            rows.append((f"verify, {jobs} process{'es' if jobs > 1 else ''}", report.seconds, 1.0))
        seconds, share = _naive(tars[0]), tars[0].stat().st_size / size
        rows.append(("loop of json and pycocotools, reckoned", seconds / share, share))
        print(
            f"{size / 1e9:.2f} GB in {shards} shards, {report.images} images, {report.masks} masks; "
            f"{os.cpu_count()} cores\n"
        )
        print("| what | seconds | MB/s | times sha256sum's |\n|---|---|---|---|")
        for what, taken, _ in rows:
            print(f"| {what} | {taken:.2f} | {size / 1e6 / taken:.0f} | {taken / hashed:.2f} |")
    if arguments.home is not None:
        whole = _best(str(arguments.home), 1, arguments.repeats)
        print(
            f"\nthe whole dataset: {whole.size / 1e6:.1f} MB in {whole.files} files, {whole.seconds:.2f} s, "
            f"{whole.megabytes_per_second:.0f} MB/s; {len(whole.findings)} findings"
        )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--export", type=Path, required=True, help="folder sa1b_export of a dataset")
    parser.add_argument("--gb", type=float, default=1.0, help="of copies that are made, 10**9 bytes")
    parser.add_argument("--repeats", type=int, default=3, help="of which the fastest counts")
    parser.add_argument("--home", type=Path, help="of a dataset that is verified too")
    return parser.parse_args()


def _multiply(export: Path, folder: Path, size: int) -> int:
    images = [ExportImage(jpeg, record) for tar in sorted(export.glob("*.tar")) for jpeg, record in read_tar(tar)]
    written = shard = 0
    while written < size:
        name = f"sa_{shard:06d}"
        index = write_shard(folder / f"{name}.tar", _renumbered(images, 1 + shard * IMAGES_PER_SHARD))
        (folder / f"{name}.index.json").write_bytes(index.dump())
        written += index.tar_size
        shard += 1
    return shard


def _renumbered(images: list[ExportImage], first: int) -> Iterator[ExportImage]:
    for image_id in range(first, first + IMAGES_PER_SHARD):
        image = images[image_id % len(images)]
        info = image.record.image.model_copy(update={"image_id": image_id, "file_name": image_name(image_id)})
        masks = tuple(
            mask.model_copy(update={"id": image_id * MAX_PROPOSALS_PER_IMAGE + number})
            for number, mask in enumerate(image.record.annotations)
        )
        yield ExportImage(image.jpeg, Record(image=info, annotations=masks))


def _seconds_of_sha256sum(tars: list[Path]) -> float:
    started = time.perf_counter()
    subprocess.run(["sha256sum", *map(str, tars)], check=True, capture_output=True)
    return time.perf_counter() - started


def _best(where: str, jobs: int, repeats: int) -> VerificationReport:
    reports = [verify(find_place(where), jobs=jobs) for _ in range(repeats)]
    assert all(report.ok for report in reports), reports[0].findings
    return min(reports, key=lambda report: report.seconds)


def _naive(path: Path) -> float:
    started = time.perf_counter()
    with tarfile.open(path) as tar:
        for member in tar:
            if not member.name.endswith(".json"):
                continue
            file = tar.extractfile(member)
            assert file is not None
            for annotation in json.load(file)["annotations"]:
                mask = coco.decode(annotation["segmentation"])
                assert mask.sum() == annotation["area"]
                rows, columns = np.nonzero(mask)
                x, y, w, h = annotation["bbox"]
                assert (columns.min(), rows.min(), np.ptp(columns), np.ptp(rows)) == (x, y, w, h)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
