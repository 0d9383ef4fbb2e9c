"""Publishing and reading one large file: `Storage` against plain boto3, on the same S3 server in the same run.

python benchmarks/storage.py --megabytes 200
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sa_pipeline.storage import Storage
from sa_pipeline_tests.s3_server import S3Server, running_s3

BUCKET = "benchmark"


def main() -> None:
    """Prints the seconds of either, the best of the repeats, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_s3() as server:
        os.environ.update(server.environment)
        server.make_bucket(BUCKET)
        path = Path(folder) / "shard.tar"
        path.write_bytes(os.urandom(1 << 20) * given.megabytes)
        for title, (ours, theirs) in _work(server, path, Path(folder) / "copy").items():
            seconds = _best(given.repeats, ours, theirs)
            rates = " ".join(f"{given.megabytes / each:7.1f} MB/s" for each in seconds)
            print(f"{title:8} Storage and boto3: {rates}, ratio {seconds[0] / seconds[1]:.2f} of boto3's time")


def _work(server: S3Server, path: Path, copy: Path) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
    storage, client = Storage(f"s3://{BUCKET}/ours"), server.client()

    def publish() -> None:
        with storage.writing("shard.tar") as aside:
            aside.hardlink_to(path)  # what a stage writes there itself

    def read() -> None:
        with storage.local_copy("shard.tar") as found:
            assert found.stat().st_size == path.stat().st_size

    return {
        "publish": (publish, lambda: client.upload_file(str(path), BUCKET, "theirs/shard.tar")),
        "read": (read, lambda: client.download_file(BUCKET, "theirs/shard.tar", str(copy))),
    }


def _best(repeats: int, *works: Callable[[], None]) -> list[float]:
    """Best seconds of each, taken in turns so that a busy machine is busy for all."""
    best = [float("inf")] * len(works)
    for _ in range(repeats):
        for number, work in enumerate(works):
            started = time.monotonic()
            work()
            best[number] = min(best[number], time.monotonic() - started)
    return best


if __name__ == "__main__":
    main()
