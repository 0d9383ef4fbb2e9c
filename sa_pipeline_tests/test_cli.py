"""The shell command as a user calls it: a process of its own."""

import json
import resource
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from sa_pipeline.cli import LATER
from sa_pipeline.dataset import Dataset, open_dataset, save_config
from sa_pipeline.settings import PRESETS, Arithmetic
from sa_pipeline.shell_options import Preset
from sa_pipeline_tests.annotated.samples import write_bsds


def call(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sa_pipeline.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def test_help_waits_for_nothing_heavy() -> None:
    code = """
import sys
from sa_pipeline.cli import app
try:
    app(["--help"])
except SystemExit:
    heavy = {"torch", "numpy", "numba", "pyarrow", "sqlalchemy", "dagster"} & set(sys.modules)
    sys.exit(f"loaded: {heavy}" if heavy else 0)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "annotate" in result.stdout


def test_the_list_of_commands_says_of_each_what_its_own_help_says_first() -> None:
    for command in LATER:
        assert command.load().help.splitlines()[0] == command.help


def test_the_presets_that_are_offered_are_those_that_there_are() -> None:
    assert [offered.value for offered in Preset] == list(PRESETS)


@pytest.fixture
def ran(dataset: Dataset) -> Dataset:
    save_config(dataset)
    result = call("run", str(dataset.config.source), "--output", str(dataset.home), "--unpacked")
    assert result.returncode == 0, result.stderr
    assert "5 images" in result.stdout
    assert "1 files rejected" in result.stdout.replace("\n", " ")
    return dataset


def test_run_query_stats_and_retune(ran) -> None:
    with tarfile.open(ran.home / "sa1b_export" / "sa_000000.tar") as tar:
        names = tar.getnames()
    assert {Path(name).suffix for name in names} == {".jpg", ".json"}
    unpacked = sorted(path.name for path in (ran.home / "unpacked").iterdir())
    assert len(unpacked) == 10
    record = json.loads((ran.home / "unpacked" / "sa_1.json").read_text())
    assert list(record) == ["image", "annotations"]

    asked = call("query", "select count(*) as images from images", "--home", str(ran.home), "--json")
    assert json.loads(asked.stdout) == [{"images": 6}]
    assert "Masks per image" in call("stats", "--home", str(ran.home)).stdout
    carded = call("card", "--home", str(ran.home), "--output", str(ran.home / "published"))
    assert carded.returncode == 0, carded.stderr
    assert str(ran.home / "published" / "dataset_card.html") in carded.stdout
    for folder in ("cards", "published"):
        assert (ran.home / folder / "dataset_card.html").is_file()

    before = yaml.safe_load((ran.home / "settings.yaml").read_text())
    retuned = call("retune", "--home", str(ran.home), "--predicted-iou", "0.11")
    assert retuned.returncode == 0, retuned.stderr
    after = yaml.safe_load((ran.home / "settings.yaml").read_text())
    assert after["settings"]["masks"]["pred_iou_thresh"] == 0.11
    assert after["settings"]["masks"]["pred_iou_floor"] == before["settings"]["masks"]["pred_iou_floor"]

    refused = call("retune", "--home", str(ran.home), "--predicted-iou", "0.01")
    assert refused.returncode == 1
    assert "below 0.1" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("query", "select 1", "--home", "nowhere"), "does not exist yet"),
        (("card", "--home", "nowhere"), "does not exist yet"),
        (("run", "nowhere", "--output", "out"), "nowhere"),
        (("checkpoints", "download", "vit_x"), "choose one of vit_b, vit_l, vit_h"),
        (("run", ".", "--output", "out", "--checkpoint", "vit_h"), "sam_vit_h_4b8939.pth"),
        (("evaluate", "nowhere", "--output", "out"), "nowhere does not exist"),
        (("evaluate", ".", "--output", "out", "--set", "points=3"), "--set: points: "),
        (("annotate", "nowhere", "--home", "out"), "nowhere"),
        (("annotations", "snapshot", "--round", "assisted-1", "--home", "out"), "out holds no images yet"),
        (("run", ".", "--output", "out"), "holds no file that may be an image"),
        (
            ("run", ".", "--output", "out", "--images-per-shard", "0"),
            "images_per_shard: expected greater than or equal to 1, got 0",
        ),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(arguments, sentence, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SA_PIPELINE_CHECKPOINTS", str(tmp_path / "checkpoints"))
    result = call(*arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert arguments[0] == "evaluate" or not (tmp_path / "out").exists(), "a slip of the keyboard leaves nothing behind"


def test_a_disk_that_takes_no_more_is_told_in_one_sentence(dataset, tmp_path) -> None:
    save_config(dataset)
    command = [sys.executable, "-m", "sa_pipeline.cli", "run", str(dataset.config.source), "--output", dataset.home]
    # A limit on the size of files stands for the full disk: writing fails in the same way.
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, preexec_fn=limit)
    assert result.returncode == 1
    assert "Error: Dagster cannot use its files in" in result.stderr
    assert "Traceback" not in result.stderr


def test_evaluate_prints_its_numbers_and_names_its_page(tmp_path) -> None:
    images, label_maps = write_bsds(tmp_path / "bsds")
    options = ("--references", str(label_maps), "--output", str(tmp_path / "out"), "--max-segments-per-image", "1")
    result = call("evaluate", str(images), *options, "--set", "points_per_side=3")
    assert result.returncode == 0, result.stderr
    for expected in ("clicks on 2 segments", "against 12 segments", "felzenszwalb", "s an image", "report.html"):
        assert expected in result.stdout
    assert (tmp_path / "out" / "report.html").exists()


def words_of(table: str) -> str:
    return " ".join(table.replace("│", " ").split())


def test_doctor_finds_this_machine_fit(tmp_path) -> None:
    result = call("doctor", "--home", str(tmp_path / "home"))
    assert "checkpoint tiny (in use)" in result.stdout
    assert "instructions for bfloat16" in words_of(result.stdout)
    assert result.returncode == 0, result.stdout
    assert list(tmp_path.iterdir()) == [], "looking leaves nothing behind"


def test_doctor_says_what_speaks_against_the_arithmetic(dataset) -> None:
    settings = dataset.settings.model_copy(update={"arithmetic": Arithmetic.FLOAT16})
    save_config(open_dataset(dataset.home, dataset.config.model_copy(update={"settings": settings})))
    result = call("doctor", "--home", str(dataset.home))
    assert result.returncode == 1
    assert "arithmetic: float16 needs a GPU; on a CPU choose float32" in words_of(result.stdout)
