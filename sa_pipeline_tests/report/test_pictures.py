"""The pictures of a materialization: what they show, that they stay small, that they are the same every time."""

import base64
import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from sa_pipeline.artifacts import AssetName, read_table
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.errors import StorageError
from sa_pipeline.report.contact_sheet import contact_sheet
from sa_pipeline.report.embeddings import embedding_colours, embedding_sheet
from sa_pipeline.report.histograms import funnel_chart, score_histograms
from sa_pipeline.report.overlays import exported_counts, shard_overlays
from sa_pipeline.report.png import MAX_MARKDOWN_BYTES, markdown_image, png_bytes
from sa_pipeline.schemas import CANDIDATE_MASKS
from sa_pipeline.settings import MaskSettings
from sa_pipeline_tests.report.samples import SHARD, write_shard

FUNNEL = {"proposals": 100, "dropped_stability": 60, "exported": 40}


@pytest.fixture
def written(tmp_path) -> Dataset:
    dataset = open_dataset(tmp_path / "home", DatasetConfig())
    write_shard(dataset)
    return dataset


def candidates(dataset: Dataset) -> pa.Table:
    return read_table(dataset.storage, AssetName.CANDIDATE_MASKS, SHARD)


def test_a_rejected_file_has_its_grey_tile_among_the_images(written) -> None:
    sheet = contact_sheet(written, SHARD, tile=100)
    assert sheet.size == (300, 100)
    assert sheet.getpixel((250, 90)) == (0xD0, 0xD0, 0xD0)
    assert len(sheet.crop((0, 0, 100, 100)).getcolors(10_000)) > 500, "a photograph"


def test_sheets_stop_at_the_number_asked_for(written) -> None:
    assert contact_sheet(written, SHARD, max_images=1, tile=100).size == (100, 100)
    assert embedding_sheet(written, SHARD, max_images=1, tile=100).size == (100, 200)
    assert shard_overlays(written, SHARD, max_images=1).height < shard_overlays(written, SHARD, max_images=2).height


def test_only_kept_masks_are_drawn(written) -> None:
    assert len(exported_counts(written, SHARD, image_id=1)) == 2


def test_embeddings_are_coloured_by_likeness_and_a_broken_one_is_still_a_picture() -> None:
    halves = np.zeros((8, 6, 10), np.float16)
    halves[:4, :, :5], halves[4:, :, 5:] = 1, 1
    colours = embedding_colours(halves)
    assert (colours[:, :5] == colours[0, 0]).all()
    assert (colours[:, 5:] == colours[0, 9]).all()
    assert (colours[0, 0] != colours[0, 9]).any()
    assert not embedding_colours(np.full((8, 6, 10), np.nan, np.float16)).any()


def test_a_shard_without_embeddings_says_so(written) -> None:
    written.storage.remove("image_embeddings")
    with pytest.raises(StorageError, match=r"image_embeddings/000000\.safetensors cannot be read"):
        embedding_sheet(written, SHARD)


def test_pictures_are_the_same_bytes_every_time(written) -> None:
    for draw in (
        lambda: score_histograms(candidates(written), MaskSettings()),
        lambda: funnel_chart(FUNNEL),
        lambda: embedding_sheet(written, SHARD),
        lambda: shard_overlays(written, SHARD),
    ):
        assert png_bytes(draw()) == png_bytes(draw())


def test_no_candidates_and_no_counts_still_make_a_chart() -> None:
    assert score_histograms(CANDIDATE_MASKS.empty_table(), MaskSettings()).width > 0
    assert funnel_chart({}).width > 0


def test_a_picture_for_the_event_log_is_small_whatever_it_shows() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 700, 3), np.uint8)
    encoded = markdown_image(Image.fromarray(noise)).removeprefix("![](data:image/jpeg;base64,").removesuffix(")")
    assert len(encoded) <= MAX_MARKDOWN_BYTES
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as shown:
        assert shown.height > shown.width > 200
