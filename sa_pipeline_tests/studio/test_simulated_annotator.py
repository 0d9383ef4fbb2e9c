"""The simulated people of benchmarks/ at a real server: what they make is what they were given to have in mind."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sa_pipeline.artifacts import RoundAssetName, read_table
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.masks.rle import counts_to_mask, mask_to_counts
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.settings import PipelineSettings
from sa_pipeline.stages.image_embeddings import make_image_embeddings
from sa_pipeline.stages.raw_images import make_raw_images
from sa_pipeline.studio.app import create_app
from sa_pipeline.studio.database import Studio, open_studio
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.models import Role, Stage, Tool
from sa_pipeline.studio.new_tasks import GivenMask
from sa_pipeline.studio.people import add_annotator, list_annotators, person_of_token, renew_token
from sa_pipeline.studio.snapshot import snapshot_round
from sa_pipeline_tests.studio.desk import serving
from sa_pipeline_tests.studio.work import begin, thing

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "simulated_annotator.py"
SIZE = (240, 320)
"""Height and width of the drawn pictures, px."""


def draw(folder: Path, number: int) -> dict[str, np.ndarray]:
    """A red disc and a yellow bar on blue ground, and their label map; returns the masks by what they are."""
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    disc = (rows - 90) ** 2 + (columns - 70 - 20 * number) ** 2 < 50**2
    bar = np.zeros(SIZE, bool)
    bar[170:210, 40:280] = True
    picture = np.full((*SIZE, 3), (30, 60, 150), np.uint8)
    picture[disc], picture[bar] = (210, 40, 30), (230, 210, 60)
    Image.fromarray(picture).save(folder / "images" / f"{number}.png")
    Image.fromarray((disc + 2 * bar).astype(np.uint8)).save(folder / "masks" / f"{number}.png")
    return {"disc": disc, "bar": bar}


@dataclass(frozen=True)
class Drawn:
    """Pictures with their label maps, and a dataset of them with embeddings; `scenes` is what is on picture 1 to 5."""

    folder: Path
    dataset: Dataset
    scenes: dict[int, dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, tiny: LoadedModel) -> Drawn:
    folder = tmp_path_factory.mktemp("drawn")
    for name in ("images", "masks"):
        (folder / name).mkdir()
    scenes = {number: draw(folder, number) for number in range(1, 6)}
    settings = PipelineSettings()
    dataset = open_dataset(folder / "home", DatasetConfig(source=str(folder / "images"), settings=settings))
    append_new_images(dataset.storage, str(folder / "images"), settings.images)
    for shard in list_shards(dataset.storage):
        make_raw_images(dataset, shard)
        make_image_embeddings(dataset, shard, tiny)
    return Drawn(folder, dataset, scenes)


@pytest.fixture
def studio(drawn: Drawn) -> Iterator[Studio]:
    opened = open_studio(drawn.dataset)
    yield opened
    opened.close()


def token_of(studio: Studio, name: str, role: Role) -> str:
    known = {person.name for person in list_annotators(studio)}
    return renew_token(studio, name) if name in known else add_annotator(studio, name, role)


def simulate(studio: Studio, source: Path) -> str:
    """Lets two annotators and a reviewer work until nothing is left; returns what they said."""
    people = {"Ada": Role.ANNOTATOR, "Bea": Role.ANNOTATOR, "Grace": Role.REVIEWER}
    tokens = source / "tokens"
    tokens.write_text("\n".join(token_of(studio, name, role) for name, role in people.items()))
    with serving(create_app(studio.dataset, studio)) as url:
        arguments = ["--url", url, "--tokens", tokens, "--source", source / "images", "--references", source / "masks"]
        done = subprocess.run([sys.executable, PROGRAM, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def snapshot(studio: Studio, round_name: str) -> list[dict]:
    snapshot_round(studio, round_name)
    return read_table(studio.dataset.storage, RoundAssetName.HUMAN_MASKS, round_name).to_pylist()


def overlap(row: dict, target: np.ndarray) -> float:
    mask = counts_to_mask(row["counts"], tuple(row["size"]))
    return (mask & target).sum() / (mask | target).sum()


def test_what_is_drawn_is_segmented_reviewed_and_snapshotted(drawn, studio) -> None:
    fill_queue(studio, "assisted-1", images={1, 2})
    said = simulate(studio, drawn.folder)
    rows = snapshot(studio, "assisted-1")
    assert "2 tasks: 4 masks made" in said
    assert "2 accepted, 0 sent back" in said
    assert [row["image_id"] for row in rows] == [1, 1, 2, 2]
    for row in rows:
        assert max(overlap(row, target) for target in drawn.scenes[row["image_id"]].values()) > 0.85
        assert row["clicks"] >= 1
        assert 3 < row["active_seconds"] < 60
        assert row["annotator"] != row["reviewer"]


def test_given_masks_are_kept_mended_or_deleted_and_what_is_missing_is_added(drawn, studio) -> None:
    disc = drawn.scenes[3]["disc"]
    half, nothing = disc.copy(), np.zeros(SIZE, bool)
    half[:85], nothing[100:160, 260:310] = False, True
    given = {3: [GivenMask(mask_to_counts(mask), source_mask_id=n) for n, mask in enumerate((half, nothing), 1)]}
    given[4] = [GivenMask(mask_to_counts(drawn.scenes[4]["disc"]), source_mask_id=3)]
    fill_queue(studio, "semi-1", stage=Stage.SEMI_AUTOMATIC, images={3, 4}, prefill=lambda _: given)
    said = simulate(studio, drawn.folder)
    rows = snapshot(studio, "semi-1")
    assert "pre-filled: 1 kept, 1 mended, 1 deleted" in said
    begun_with = {row["source_mask_id"]: row for row in rows if row["source"] == "prefilled"}
    assert sorted(begun_with) == [1, 3]
    assert overlap(begun_with[1], disc) > 0.75
    assert begun_with[3]["counts"] == mask_to_counts(drawn.scenes[4]["disc"])
    added = [row for row in rows if row["source"] == "manual"]
    assert [row["image_id"] for row in added] == [3, 4]
    assert all(overlap(row, drawn.scenes[row["image_id"]]["bar"]) > 0.85 for row in added)


def test_a_mask_of_nothing_comes_back_once_and_is_gone_in_the_end(drawn, studio) -> None:
    fill_queue(studio, "assisted-2", images={5})
    ada = person_of_token(studio, token_of(studio, "Ada", Role.ANNOTATOR))
    work = begin(studio, ada)
    work.do((Tool.BRUSH, thing(work.rectangle(0, 0, 30, 30))))
    work.finish()
    said = simulate(studio, drawn.folder)
    assert "1 accepted, 1 sent back" in said
    assert snapshot(studio, "assisted-2") == []
