"""What differs between two turns with the same plan: nothing may but times and who was quicker to take a task."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

APART = {"dagster", "studio", "retraining", "training", "catalog.duckdb", "report", "cards"}
"""What of a home is not compared: runs and the studio's database are full of times, and catalogue, report and cards
are made of the files that are compared; the rest is where trainings that are finished were at work."""

TIMES = frozenset({"accepted_at", "at", "received_at", "begun", "made_at", "promoted_at", "seconds"})
"""Columns and keys that tell when something was done and how long it took."""

PEOPLE = frozenset({"annotator", "reviewer", "person"})
"""Two people work at once, and whoever asks first gets the next task. What is made of it depends on the task alone."""

DIGESTS = frozenset({"inputs", "content_digest", "training_set"})
"""Of files in which those stand."""

PATHS = frozenset({"start"})
"""Of weights outside the dataset."""

NOT_COMPARED = TIMES | PEOPLE | DIGESTS | PATHS


def differences(one: Path, other: Path) -> Iterator[str]:
    """Sentences on what differs between two folders of turns: plans, figures, measured IoU, and the files of the homes.

    Weights, embeddings, images and exports are held against each other byte by byte, tables and records by their
    content without `NOT_COMPARED`.
    """
    names = [set(_files(folder)) for folder in (one, other)]
    for name in sorted(names[0] ^ names[1]):
        yield f"{name}: only in {one if name in names[0] else other}"
    for name in sorted(names[0] & names[1]):
        yield from (f"{name}: {what}" for what in _differs(one / name, other / name))


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        top = name.parts[1] if name.parts[0] == "home" and len(name.parts) > 1 else ""
        begun = name.name.startswith(".")
        if path.is_file() and not begun and top not in APART and name.name not in ("tokens", "settings.yaml"):
            yield name.as_posix()


def _differs(one: Path, other: Path) -> Iterator[str]:
    if one.suffix == ".parquet":
        yield from _tables_differ(pq.read_table(one), pq.read_table(other))
    elif one.suffix in (".json", ".jsonl"):
        pairs = zip(*(path.read_text(encoding="utf-8").splitlines() for path in (one, other)), strict=False)
        whole = one.suffix == ".json"
        texts = [(one.read_text(encoding="utf-8"), other.read_text(encoding="utf-8"))] if whole else pairs
        for text, others in texts:
            yield from _values_differ(json.loads(text), json.loads(others), "")
    elif one.read_bytes() != other.read_bytes():
        yield "the bytes"


def _tables_differ(one: pa.Table, other: pa.Table) -> Iterator[str]:
    if one.column_names != other.column_names:
        yield "the columns"
    elif one.num_rows != other.num_rows:
        yield f"{one.num_rows} rows and {other.num_rows}"
    else:
        compared = [name for name in one.column_names if name not in NOT_COMPARED]
        yield from (f"column {name}" for name in compared if not one[name].equals(other[name]))


def _values_differ(one: Any, other: Any, place: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one.keys() - NOT_COMPARED:
            yield from _values_differ(one[key], other[key], f"{place}.{key}".strip("."))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from _values_differ(*pair, f"{place}[{number}]")
    elif one != other:
        yield f"{place} is {one} and {other}"
