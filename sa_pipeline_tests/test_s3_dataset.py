"""A whole dataset in a bucket, of images in a bucket: what it makes, and what reads it, is as on a disk."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import skimage.data
from PIL import Image

from sa_pipeline.annotated.references import ReferenceMask, ReferenceMasks
from sa_pipeline.artifacts import AssetName, RoundAssetName, artifact_name, export_tar_name, read_table
from sa_pipeline.cards.write import write_cards
from sa_pipeline.catalog.query import query, statistics
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.masks.rle import mask_to_counts
from sa_pipeline.progress import SilentProgress
from sa_pipeline.promotion import ref_in_use
from sa_pipeline.provenance import Freshness, shard_assets, shard_freshness
from sa_pipeline.quality.export import records_valid
from sa_pipeline.report.page import write_report
from sa_pipeline.retuning import retune, retuned_settings
from sa_pipeline.sam.registry import load_model
from sa_pipeline.settings import ImageSettings, PipelineSettings
from sa_pipeline.shell_run import run_dataset
from sa_pipeline.stages.candidate_masks import make_candidate_masks
from sa_pipeline.stages.deduplicated_masks import make_deduplicated_masks
from sa_pipeline.stages.filtered_masks import make_filtered_masks
from sa_pipeline.stages.image_embeddings import make_image_embeddings
from sa_pipeline.stages.raw_images import make_raw_images
from sa_pipeline.stages.sa1b_export import make_sa1b_export
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.importing import ImportAs, import_masks
from sa_pipeline.studio.matching import ImageIndex
from sa_pipeline.studio.pictures import Pictures
from sa_pipeline.studio.snapshot import snapshot_round
from sa_pipeline_tests.conftest import SMALL_MASKS
from sa_pipeline_tests.s3_server import S3Bucket, S3Server

SETTINGS = PipelineSettings(
    images=ImageSettings(images_per_shard=2), masks=SMALL_MASKS.model_copy(update={"points_per_side": 4})
)


@dataclass
class Twins:
    """The same images made into a dataset twice: from a bucket in a bucket, and from a folder in a folder."""

    bucket: S3Bucket
    remote: Dataset
    local: Dataset


@pytest.fixture(scope="module")
def twins(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    bucket = S3Bucket(s3_server, "datasets")
    s3_server.make_bucket(bucket.name)
    folder = tmp_path_factory.mktemp("twins")
    (folder / "photos").mkdir()
    for name, data in {"astronaut.png": _photograph("astronaut"), "more.tar": _tar_of("coffee")}.items():
        bucket.write(f"photos/{name}", data)
        (folder / "photos" / name).write_bytes(data)
    remote = DatasetConfig(source=f"{bucket.url}/photos", storage_url=f"{bucket.url}/ds", settings=SETTINGS)
    local = DatasetConfig(source=str(folder / "photos"), settings=SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_server.environment.items():
            patch.setenv(name, value)
        found = Twins(bucket, open_dataset(folder / "remote", remote), open_dataset(folder / "local", local))
        for dataset in (found.remote, found.local):
            summary = run_dataset(dataset, SilentProgress())
            assert (summary.failures, summary.images) == ([], 2)
        yield found


def _photograph(name: str) -> bytes:
    image, sink = Image.fromarray(getattr(skimage.data, name)()), io.BytesIO()
    image.thumbnail((96, 96))
    image.save(sink, "PNG")
    return sink.getvalue()


def _tar_of(name: str) -> bytes:
    data, sink = _photograph(name), io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        info = tarfile.TarInfo(f"{name}.png")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def test_the_export_is_the_same_byte_for_byte(twins) -> None:
    name = export_tar_name(list_shards(twins.local.storage)[0])
    assert twins.bucket.read(f"ds/{name}") == twins.local.storage.read_bytes(name)


def test_all_of_the_dataset_lies_in_the_bucket_and_none_of_it_at_home(twins) -> None:
    shard = list_shards(twins.remote.storage)[0]
    keys = twins.bucket.keys()
    assert {f"ds/{artifact_name(asset, shard)}" for asset in shard_assets(twins.remote.settings)} <= set(keys)
    assert not [key for key in keys if "parts" in key]
    assert not [path for path in twins.remote.home.iterdir() if path.name in [*AssetName, "ledger"]]
    states = shard_freshness(twins.remote, shard, ref_in_use(twins.remote))
    assert set(states.values()) == {Freshness.FRESH}


def test_catalogue_cards_report_and_checks_read_it(twins) -> None:
    for sql in ("SELECT image_id, sha256 FROM images ORDER BY 1", "SELECT mask_id, area FROM masks ORDER BY 1"):
        assert query(twins.remote, sql).equals(query(twins.local, sql))
    assert [len(rows) for _, rows in statistics(twins.remote)] == [len(rows) for _, rows in statistics(twins.local)]
    written = write_cards(twins.remote)
    assert written.files["dataset_card.html"] == f"{twins.bucket.url}/ds/cards/dataset_card.html"
    assert b"<html" in twins.bucket.read("ds/cards/dataset_card.html")
    assert f"{twins.bucket.url}/ds/sa1b_export" in write_report(twins.remote).read_text()
    assert records_valid(twins.remote, list_shards(twins.remote.storage)[0]).passed


def test_the_studio_shows_its_pictures_and_embeddings(twins) -> None:
    remote, local = Pictures(twins.remote), Pictures(twins.local)
    digest = ref_in_use(twins.remote).digest
    assert remote.jpeg(2) == local.jpeg(2)
    assert np.array_equal(remote.embedding(2, digest), local.embedding(2, digest))


def test_a_round_is_snapshot_into_the_bucket(twins) -> None:
    studio = open_studio(twins.remote)
    size = np.asarray(Image.open(io.BytesIO(_photograph("astronaut")))).shape[:2]
    mask = np.zeros(size, bool)
    mask[10:50, 20:60] = True
    reference = ReferenceMasks("astronaut.png", size, ((ReferenceMask(mask_to_counts(mask)),),))
    import_masks(studio, [reference], "round-1", ImportAs.ACCEPTED, ImageIndex(twins.remote, by_bytes=False))
    snapshot_round(studio, "round-1")
    studio.close()
    assert read_table(twins.remote.storage, RoundAssetName.HUMAN_MASKS, "round-1")["area"].to_pylist() == [1600]


def test_new_thresholds_over_old_candidates_give_the_same_export(twins) -> None:
    exports = []
    for dataset in (twins.remote, twins.local):
        settings = retuned_settings(dataset.settings, pred_iou_thresh=0.2, stability_score_thresh=0.5)
        changed = open_dataset(dataset.home, dataset.config.model_copy(update={"settings": settings}))
        assert retune(changed, SilentProgress())["exported"] > 0
        exports.append(changed.storage.read_bytes(export_tar_name(list_shards(changed.storage)[0])))
    assert exports[0] == exports[1]


def test_objects_that_were_cut_short_are_noticed_and_made_again(twins) -> None:
    shard = list_shards(twins.remote.storage)[0]
    make_shard(twins.remote, shard)
    tables = [
        asset for asset in shard_assets(twins.remote.settings) if artifact_name(asset, shard).endswith(".parquet")
    ]
    whole = {key: twins.bucket.read(key) for key in (f"ds/{artifact_name(asset, shard)}" for asset in tables)}
    for key, data in whole.items():
        twins.bucket.write(key, data[: len(data) * 3 // 4])
        assert Freshness.STALE in shard_freshness(twins.remote, shard, ref_in_use(twins.remote)).values()
    make_shard(twins.remote, shard)
    assert {key: twins.bucket.read(key) for key in whole} == whole


def make_shard(dataset: Dataset, shard: str) -> None:
    tiny = load_model("tiny")
    make_raw_images(dataset, shard)
    make_image_embeddings(dataset, shard, tiny)
    make_candidate_masks(dataset, shard, tiny)
    make_filtered_masks(dataset, shard)
    make_deduplicated_masks(dataset, shard)
    make_sa1b_export(dataset, shard)
