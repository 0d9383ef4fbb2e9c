"""Turns the circle of the data engine with simulated people: annotate, review, retrain, and again (paper §4).

    python benchmarks/circle.py --bsds500 BSDS500 --output turn [--rounds 3] [--per-round 40] [--steps 100] [--quick]
    python benchmarks/circle.py --compare turn other-turn

BSDS500's `train` photographs are the source, and people's segments of them what the simulated people have in mind;
those of `val` are never in the dataset, and the weights of each round are measured on some of them. Everything runs as
it does for people: the studio's server in a process of its own, simulated annotators and a reviewer at its HTTP API,
Dagster's runs on the instance in `turn/home`, which `sa-pipeline ui --home turn/home` shows. The weights at the start
are `tiny`'s before its training, with corrections and boxes written in. Killed anywhere and started again with the same
options, it goes on. docs/circle.md has figures.
"""

import argparse
import time
from pathlib import Path

from turning.by_daemon import turn_by_daemon
from turning.certainty import certainty_table
from turning.comparing import differences
from turning.figures import Figures, table
from turning.plan import Plan, keep_plan
from turning.start import ensure_undertrained
from turning.steps import Turn

from sa_pipeline.dataset import DatasetConfig, open_dataset, save_config
from sa_pipeline.images.ledger import append_new_images
from sa_pipeline.progress import TerminalProgress, watched_by
from sa_pipeline.runs import ensure_dagster_home, fail_abandoned_runs

QUICK = {"rounds": 2, "per_round": 4, "steps": 10, "detector_steps": 10, "validated": 2, "segments": 5, "automatic": 1}


def main() -> None:
    """Reads the options and turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bsds500", type=Path, help="folder with images/ and groundTruth/, each with train/ and val/")
    for name, text in {
        "images": "folder of photographs, in place of BSDS500's train",
        "references": "their masks: COCO's file or a folder of label maps",
        "validation": "folder of photographs to measure on, in place of BSDS500's val",
        "validation-references": "their masks",
    }.items():
        parser.add_argument(f"--{name}", type=Path, help=text)
    parser.add_argument("--output", type=Path, help="folder of the turn")
    parser.add_argument("--compare", type=Path, nargs=2, help="only say what differs between two turns' folders")
    parser.add_argument("--quick", action="store_true", help="sizes for trying it: a few minutes, and no result")
    for name, value, text in (
        ("rounds", 3, "of the assisted stage"),
        ("per-round", 40, "photographs"),
        ("steps", 100, "of each retraining"),
        ("detector-steps", 800, "of the detector's training"),
        ("validated", 33, "photographs that weights are measured on"),
        ("segments", 10, "clicked on in each"),
        ("automatic", 1, "shards of the automatic stage"),
    ):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{text}; default {value}")
    parser.add_argument("--held-out", type=float, default=0.1, help="share by which weights are promoted")
    parser.add_argument(
        "--undone",
        action="store_true",
        help="start from weights whose masks are poor: noise over the last layers of the three masks' heads",
    )
    parser.add_argument(
        "--by-daemon",
        action="store_true",
        help="let the sensor round_done and Dagster's daemon ask for each step; ends with the semi-automatic round",
    )
    given = parser.parse_args()
    if given.compare:
        found = list(differences(*given.compare))
        print("\n".join(found) or "Nothing differs but times, and who took which task.")
        raise SystemExit(bool(found))
    if given.output is None:
        parser.error("give --output")
    plan = _plan(parser, given)
    folder = given.output.expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    keep_plan(folder, plan)
    started = time.monotonic()
    rows = turn(plan, folder)
    if not rows:
        return
    measured = [row.step for row in rows if row.ious]
    print(f"\n{table(rows)}\n\n{certainty_table(folder, measured)}\n\n{time.monotonic() - started:.0f} s in this call.")


def turn(plan: Plan, folder: Path) -> list[Figures]:
    """Does all steps that are not done."""
    checkpoint = ensure_undertrained(folder / "undertrained.safetensors", undone=plan.undone)
    config = DatasetConfig(source=str(plan.images), settings=plan.settings(checkpoint))
    dataset = open_dataset(folder / "home", config)
    save_config(dataset)
    progress = TerminalProgress()
    with ensure_dagster_home(dataset) as instance, watched_by(progress):
        fail_abandoned_runs(instance)
        append_new_images(dataset.storage, str(plan.images), plan.settings(checkpoint).images)
        if plan.by_daemon:
            turn_by_daemon(dataset, instance, plan, folder)
            return []
        this = Turn(plan, folder, dataset, instance, progress)
        rows = [this.begin()]
        for number in range(plan.assisted):
            name, shard = f"assisted-{number + 1}", this.shard(number)
            rows.append(this.assisted_round(name, shard))
            if number > 0:
                rows.append(this.beside(f"{name}-first-weights", name, shard, str(checkpoint)))
            print(table(rows), flush=True)
        number = plan.assisted
        rows.append(this.semi_automatic_round("semi-1", this.shard(number), f"assisted-{number}"))
        rows.append(
            this.beside("semi-1-nothing-pre-filled", "semi-1", this.shard(number), this.weights_before("semi-1"))
        )
        print(table(rows), flush=True)
        rows.append(this.automatic([this.shard(number + 1 + index) for index in range(plan.automatic)]))
    return rows


def _plan(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Plan:
    sizes = QUICK if given.quick else vars(given)
    folders = {
        name: getattr(given, name) or (given.bsds500 / part if given.bsds500 else None)
        for name, part in {
            "images": "images/train",
            "references": "groundTruth/train",
            "validation": "images/val",
            "validation_references": "groundTruth/val",
        }.items()
    }
    missing = [name for name, folder in folders.items() if folder is None]
    if missing:
        parser.error(f"give --bsds500, or all four folders; missing: {', '.join(missing)}")
    return Plan(
        **{name: Path(folder).expanduser().absolute() for name, folder in folders.items() if folder is not None},
        assisted=sizes["rounds"],
        per_round=sizes["per_round"],
        steps=sizes["steps"],
        detector_steps=sizes["detector_steps"],
        validated=sizes["validated"],
        segments=sizes["segments"],
        automatic=sizes["automatic"],
        held_out=given.held_out,
        undone=given.undone,
        by_daemon=given.by_daemon,
    )


if __name__ == "__main__":
    main()
