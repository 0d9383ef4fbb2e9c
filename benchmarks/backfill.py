"""Proves on your own images that a backfill survives a killed run and that running again changes nothing.

    python benchmarks/backfill.py --images photos --shards 10 --kill

It starts the UI with its daemon on a dataset of its own, registers the images in shards, launches a backfill of the six
shard assets over Dagster's GraphQL API, as the button in the UI does, and kills the process of one run with SIGKILL
while it proposes masks. When Dagster has brought everything to its end, it looks for half-written files, checks every
file and reconciles the counts with the catalogue. Then it runs everything again, once as a second backfill and once as
`sa-pipeline run`, and compares the bytes of all files. It exits with 0 if nothing is wrong.
"""

import argparse
import hashlib
import math
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import dagster as dg
import duckdb
from dagster_ui import DagsterUi, say, wait

from sa_pipeline.artifacts import AssetName, read_header
from sa_pipeline.assets.common import IMAGE_SHARDS
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset, save_config
from sa_pipeline.images.ledger import append_new_images, list_shards, read_ledger
from sa_pipeline.promotion import ref_in_use
from sa_pipeline.provenance import Freshness, shard_assets, shard_freshness
from sa_pipeline.quality.embeddings import embeddings_complete_and_finite
from sa_pipeline.quality.export import counts_reconcile, records_valid
from sa_pipeline.quality.images import images_readable
from sa_pipeline.quality.masks import candidates_all_judged, scores_within_bounds
from sa_pipeline.run_history import worker_pid
from sa_pipeline.runs import ensure_dagster_home
from sa_pipeline.settings import preset

CHECKS = (
    images_readable,
    embeddings_complete_and_finite,
    scores_within_bounds,
    candidates_all_judged,
    records_valid,
    counts_reconcile,
)


def main() -> None:
    """Does what the module says, step by step."""
    arguments = _parse()
    with tempfile.TemporaryDirectory(prefix="sa_pipeline-backfill-") as scratch:
        dataset = _register(arguments, arguments.home or Path(scratch) / "home")
        with ensure_dagster_home(dataset) as instance:
            instance.add_dynamic_partitions(str(IMAGE_SHARDS.name), list_shards(dataset.storage))
            server = DagsterUi(dataset.home, arguments.timeout)
            try:
                backfill = server.launch_backfill(list_shards(dataset.storage))
                killed = _kill_one(dataset, instance, server, backfill) if arguments.kill else None
                server.wait_for_backfill(backfill)
                _report_runs(instance, backfill, killed)
                _wait_for_catalog(dataset, server)
                _examine(dataset)
                before = _snapshot(dataset)
                say(f"{len(before)} files, {sum(size for _, size, _ in before.values()) / 1e6:.1f} MB, digests taken")
                again = server.launch_backfill(list_shards(dataset.storage))
                server.wait_for_backfill(again)
                _report_runs(instance, again, None)
                _expect_all_reused(dataset, instance, again)
                _expect_unchanged(dataset, before, "the second backfill")
            finally:
                server.stop()
        _run_from_the_shell(dataset)
        _expect_unchanged(dataset, before, "sa-pipeline run")
        _examine(dataset)
    say("All as it should be.")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of images")
    parser.add_argument("--shards", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--kill", action="store_true", help="kill one run's process halfway")
    parser.add_argument("--points-per-side", type=int, default=8, help="of the grid (default: 8)")
    parser.add_argument("--home", type=Path, help="keep the dataset in this new folder; default: a temporary one")
    parser.add_argument("--timeout", type=float, default=7200, help="seconds that a backfill may take (default: 7200)")
    return parser.parse_args()


def _register(arguments: argparse.Namespace, home: Path) -> Dataset:
    if home.exists() and any(home.iterdir()):
        sys.exit(f"{home} is not empty; name a new folder.")
    fast = preset("fast")
    masks = fast.masks.model_copy(update={"points_per_side": arguments.points_per_side})
    config = DatasetConfig(source=str(arguments.images.resolve()), settings=fast.model_copy(update={"masks": masks}))
    dataset = open_dataset(home, config)
    files = [path for path in arguments.images.rglob("*") if path.is_file()]
    images = fast.images.model_copy(update={"images_per_shard": math.ceil(len(files) / arguments.shards)})
    dataset = open_dataset(
        home, config.model_copy(update={"settings": config.settings.model_copy(update={"images": images})})
    )
    save_config(dataset)
    report = append_new_images(dataset.storage, str(dataset.config.source), images)
    say(f"{report.new_images} files entered in {len(report.new_shards)} shards")
    return dataset


def _kill_one(dataset: Dataset, instance: dg.DagsterInstance, server: DagsterUi, backfill: str) -> str:
    """Sends SIGKILL to a run of a middle shard once it has proposed masks on some of its images."""
    shards = list_shards(dataset.storage)
    shard = shards[len(shards) // 2]
    parts = dataset.home / AssetName.CANDIDATE_MASKS / "parts"
    half = max(1, dataset.settings.images.images_per_shard // 2)

    def halfway() -> bool:
        if server.ended(backfill):
            sys.exit(f"Backfill {backfill} ended before a run could be killed; take more images.")
        return len(list(parts.glob(f"{shard}-*/*.parquet"))) >= half

    wait(f"shard {shard} to be half proposed", halfway, server.timeout)
    started = dg.RunsFilter(tags={"dagster/partition": shard}, statuses=[dg.DagsterRunStatus.STARTED])
    run = next(iter(instance.get_runs(started)), None)
    pid = worker_pid(instance, run.run_id) if run else None
    if run is None or pid is None:
        sys.exit(f"Shard {shard} was done before its run could be killed; take more images.")
    os.kill(pid, signal.SIGKILL)
    say(f"run {run.run_id[:8]} of shard {shard} killed: SIGKILL to its process {pid}")
    return run.run_id


def _report_runs(instance: dg.DagsterInstance, backfill: str, killed: str | None) -> None:
    runs = instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill}))
    states = sorted(run.status.value for run in runs)
    say(f"{len(runs)} runs: " + ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)))
    if killed is not None:
        first = instance.get_run_by_id(killed)
        retries = [run for run in runs if run.root_run_id == killed]
        _demand(first is not None and first.status is dg.DagsterRunStatus.FAILURE, f"run {killed} is not marked failed")
        _demand(any(run.is_success for run in retries), f"run {killed} was not retried with success")
        say(f"run {killed[:8]} is FAILURE, its retry {retries[0].run_id[:8]} is {retries[0].status.value}")


def _wait_for_catalog(dataset: Dataset, server: DagsterUi) -> None:
    def current() -> bool:
        if not dataset.catalog_path.exists():
            return False
        with duckdb.connect(str(dataset.catalog_path), read_only=True) as catalog:
            complete = catalog.execute("SELECT count(*) FROM shards WHERE files = 6").fetchall()[0][0]
        return int(complete) == len(list_shards(dataset.storage))

    wait("the catalogue", current, server.timeout)
    say("the catalogue was refreshed by its sensor")


def _examine(dataset: Dataset) -> None:
    """Demands that every file is whole, fresh and sound, and that the catalogue's counts are the files'."""
    leftovers = [path for path in dataset.home.rglob("*") if ".aside-" in path.name]
    parts = dataset.home / AssetName.CANDIDATE_MASKS / "parts"
    leftovers += [path for path in parts.rglob("*") if path.is_file()]
    _demand(not leftovers, f"half-written files are left: {leftovers}")
    checkpoint = ref_in_use(dataset)
    shards = list_shards(dataset.storage)
    images = masks = rejected = candidates = 0
    for shard in shards:
        states = shard_freshness(dataset, shard, checkpoint)
        _demand(set(states.values()) == {Freshness.FRESH}, f"shard {shard} is not fresh: {states}")
        for check in CHECKS:
            outcome = check(dataset, shard)
            _demand(outcome.passed or outcome.severity == "warning", f"shard {shard}: {outcome.summary}")
        headers = {asset: read_header(dataset.storage, asset, shard) for asset in AssetName}
        counts = {asset: header.counts for asset, header in headers.items() if header is not None}
        images += counts[AssetName.SA1B_EXPORT]["images"]
        masks += counts[AssetName.SA1B_EXPORT]["masks"]
        rejected += counts[AssetName.RAW_IMAGES].get("rejected", 0)
        candidates += counts[AssetName.CANDIDATE_MASKS]["candidates"]
    entered = sum(1 for _ in read_ledger(dataset.storage))
    _demand(entered == images + rejected, f"{entered} files entered, {images} exported, {rejected} rejected")
    queries = {
        "SELECT sum(images) FROM shards": images,
        "SELECT count(*) FROM images WHERE status = 'ok'": images,
        "SELECT count(*) FROM rejected_images": rejected,
        "SELECT count(*) FROM masks": masks,
        "SELECT count(*) FROM candidates": candidates,
        "SELECT count(*) FROM verdicts": candidates,
        "SELECT count(*) FROM verdicts WHERE kept": masks,
    }
    with duckdb.connect(str(dataset.catalog_path), read_only=True) as catalog:
        for sql, expected in queries.items():
            found = catalog.execute(sql).fetchall()[0][0]
            _demand(found == expected, f"{sql}: {found}; the files say {expected}")
    say(
        f"{len(shards)} shards fresh and sound, nothing half-written; {entered} files = {images} exported + {rejected} "
        f"rejected; {candidates} candidates, {masks} masks, and the catalogue says the same"
    )


def _snapshot(dataset: Dataset) -> dict[str, tuple[str, int, int]]:
    """SHA-256, size and time of change of every data file."""
    found = {}
    for folder in ("ledger", *AssetName):
        for path in sorted((dataset.home / folder).rglob("*")):
            if path.is_file():
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                status = path.stat()
                found[str(path.relative_to(dataset.home))] = (digest, status.st_size, status.st_mtime_ns)
    return found


def _expect_unchanged(dataset: Dataset, before: dict[str, tuple[str, int, int]], what: str) -> None:
    after = _snapshot(dataset)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    _demand(not changed, f"{what} changed {changed}")
    say(f"after {what}: all {len(after)} files have the same SHA-256 and were not written again")


def _expect_all_reused(dataset: Dataset, instance: dg.DagsterInstance, backfill: str) -> None:
    runs = {run.run_id for run in instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill}))}
    reused = 0
    for run_id in runs:
        for event in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
            made = event.asset_materialization
            if made is not None and "deidentification" in made.metadata:
                continue  # switched off, it makes no file
            _demand(made is not None and made.metadata["reused"].value is True, f"run {run_id} made {made} again")
            reused += 1
    expected = len(shard_assets(dataset.settings)) * len(list_shards(dataset.storage))
    _demand(reused == expected, f"{reused} materializations instead of {expected}")
    say(f"{reused} of {expected} materializations say `reused`")


def _run_from_the_shell(dataset: Dataset) -> None:
    command = [sys.executable, "-m", "sa_pipeline.cli", "run", str(dataset.config.source), "--output", dataset.home]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    _demand(done.returncode == 0, f"sa-pipeline run ended with {done.returncode}: {done.stderr}")
    count = len(list_shards(dataset.storage))
    text = " ".join(done.stdout.split())
    _demand(f"{count} of {count} shards were fresh already" in text, f"sa-pipeline run did not skip all: {text}")
    say(f"sa-pipeline run: {count} of {count} shards were fresh already")


def _demand(condition: bool, complaint: str) -> None:
    if not condition:
        sys.exit(f"WRONG: {complaint}")


if __name__ == "__main__":
    main()
