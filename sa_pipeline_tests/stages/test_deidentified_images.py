"""Faces are gone from all that is made of an image once that is switched on, and nothing changes while it is off."""

import hashlib
import io
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pytest
import skimage.data
from PIL import Image

from sa_pipeline.annotated.references import ReferenceMasks
from sa_pipeline.artifacts import AssetName, artifact_name, export_tar_name, read_header, read_table
from sa_pipeline.cards.write import write_cards
from sa_pipeline.catalog.build import build_catalog
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset, save_config
from sa_pipeline.errors import ArtifactError, SettingsError
from sa_pipeline.images.jpeg import decode_jpeg
from sa_pipeline.images.ledger import append_new_images
from sa_pipeline.images.stored import read_jpeg
from sa_pipeline.privacy.centerface import CenterFace
from sa_pipeline.provenance import Freshness, shard_freshness
from sa_pipeline.quality.export import counts_reconcile
from sa_pipeline.quality.privacy import faces_gone_after_blurring
from sa_pipeline.report.contact_sheet import contact_sheet
from sa_pipeline.sa1b.reader import read_tar
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.settings import DeidentificationSettings, PipelineSettings
from sa_pipeline.stages.candidate_masks import make_candidate_masks
from sa_pipeline.stages.deduplicated_masks import make_deduplicated_masks
from sa_pipeline.stages.deidentified_images import make_deidentified_images
from sa_pipeline.stages.filtered_masks import make_filtered_masks
from sa_pipeline.stages.image_embeddings import make_image_embeddings
from sa_pipeline.stages.raw_images import make_raw_images
from sa_pipeline.stages.sa1b_export import make_sa1b_export
from sa_pipeline.studio.matching import ImageIndex
from sa_pipeline.studio.pictures import Pictures
from sa_pipeline.verification.findings import FindingKind
from sa_pipeline.verification.place import Place, find_place
from sa_pipeline.verification.verify import verify
from sa_pipeline_tests.conftest import SMALL_MASKS

SHARD = "000000"
ASTRONAUT, COFFEE = 1, 2
"""Numbers of the shard's files, in the order of their names."""


def with_deidentification(dataset: Dataset, **settings) -> Dataset:
    changed = dataset.settings.model_copy(update={"deidentification": DeidentificationSettings(**settings)})
    return open_dataset(dataset.home, dataset.config.model_copy(update={"settings": changed}))


def make_shard(dataset: Dataset, model: LoadedModel) -> None:
    make_raw_images(dataset, SHARD)
    make_deidentified_images(dataset, SHARD)
    make_image_embeddings(dataset, SHARD, model)
    make_candidate_masks(dataset, SHARD, model)
    make_filtered_masks(dataset, SHARD)
    make_deduplicated_masks(dataset, SHARD)
    make_sa1b_export(dataset, SHARD)


def exported(dataset: Dataset) -> dict[int, bytes]:
    with dataset.storage.local_copy(export_tar_name(SHARD)) as path:
        return {record.image.image_id: jpeg for jpeg, record in read_tar(path)}


def raw(dataset: Dataset) -> dict[int, bytes]:
    rows = read_table(dataset.storage, AssetName.RAW_IMAGES, SHARD, columns=["image_id", "jpeg"]).to_pylist()
    return {row["image_id"]: row["jpeg"] for row in rows}


def roughness(jpeg: bytes, box: tuple[int, int, int, int]) -> float:
    """How much neighbouring pixels differ in a box XYWH; what is blurred is smooth."""
    x, y, w, h = box
    return float(np.abs(np.diff(decode_jpeg(jpeg)[y : y + h, x : x + w].astype(float), axis=1)).mean())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny: LoadedModel) -> Dataset:
    """A shard of two small photographs as it is without de-identification."""
    source = tmp_path_factory.mktemp("photos")
    for name in ("astronaut", "coffee"):
        image = Image.fromarray(getattr(skimage.data, name)())
        image.thumbnail((160, 160))
        image.save(source / f"{name}.png")
    settings = PipelineSettings(masks=SMALL_MASKS)
    config = DatasetConfig(source=str(source), settings=settings)
    dataset = open_dataset(tmp_path_factory.mktemp("plain"), config)
    append_new_images(dataset.storage, str(source), settings.images)
    make_shard(dataset, tiny)
    return dataset


@pytest.fixture(scope="module")
def blurred(made: Dataset, tiny: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    dataset = with_deidentification(copy_of(made, tmp_path_factory.mktemp("blurred") / "home"), enabled=True)
    make_shard(dataset, tiny)
    return dataset


@pytest.fixture
def plain(made: Dataset, tmp_path: Path) -> Dataset:
    return copy_of(made, tmp_path / "home")


def copy_of(dataset: Dataset, home: Path) -> Dataset:
    shutil.copytree(dataset.home, home)
    return open_dataset(home, dataset.config)


def test_the_exported_face_is_blurred_and_recorded_and_other_images_keep_their_bytes(blurred) -> None:
    before, after = raw(blurred), exported(blurred)
    (row,) = read_table(blurred.storage, AssetName.DEIDENTIFIED_IMAGES, SHARD, image_id=ASTRONAUT).to_pylist()
    detector = CenterFace(min_score=0.5, min_height=12)
    (face,) = detector.detect(decode_jpeg(before[ASTRONAUT]))
    (box,) = (box for box in row["boxes"] if box["score"] > 0.5)
    np.testing.assert_allclose(box["bbox"], face.bbox, atol=0.1)
    assert (box["kind"], box["detector"], box["detector_digest"]) == ("face", "centerface", detector.digest)
    assert row["faces"] == len(row["boxes"])
    assert detector.detect(decode_jpeg(after[ASTRONAUT])) == []
    x, y, w, h = (round(value) for value in face.bbox)
    assert roughness(after[ASTRONAUT], (x, y, w, h)) < roughness(before[ASTRONAUT], (x, y, w, h)) / 3
    (other,) = read_table(blurred.storage, AssetName.DEIDENTIFIED_IMAGES, SHARD, image_id=COFFEE).to_pylist()
    assert (other["boxes"], other["jpeg"]) == ([], None)
    assert after[COFFEE] == before[COFFEE]
    assert counts_reconcile(blurred, SHARD).passed


def test_everybody_who_asks_for_pixels_gets_the_blurred_ones(blurred) -> None:
    jpeg = exported(blurred)[ASTRONAUT]
    assert jpeg != raw(blurred)[ASTRONAUT]
    assert read_jpeg(blurred, SHARD, ASTRONAUT) == jpeg  # training and the object detector
    assert Pictures(blurred).jpeg(ASTRONAUT) == jpeg  # the annotation studio
    sheet = contact_sheet(blurred, SHARD, tile=164)
    tile = np.asarray(sheet.crop((2, 2, 162, 162)), float)
    with Image.open(io.BytesIO(jpeg)) as picture:
        assert np.abs(tile - np.asarray(picture, float)).mean() < 1
    index = ImageIndex(blurred, by_bytes=True)
    found = index.find(ReferenceMasks("elsewhere.jpg", (160, 160), (), hashlib.sha256(jpeg).hexdigest()))
    assert found.image_id == ASTRONAUT


def test_the_catalogue_the_check_and_the_card_tell_of_it(blurred) -> None:
    build_catalog(blurred)
    (row,) = read_table(blurred.storage, AssetName.DEIDENTIFIED_IMAGES, SHARD, image_id=ASTRONAUT).to_pylist()
    with duckdb.connect(str(blurred.catalog_path), read_only=True) as catalog:
        boxes = catalog.execute(
            "SELECT kind, detector FROM deidentified_boxes WHERE image_id = ?", [ASTRONAUT]
        ).fetchall()
        images = catalog.execute("SELECT image_id, faces, license_plates FROM deidentified_images").fetchall()
    assert boxes == [("face", "centerface")] * row["faces"]
    assert (ASTRONAUT, row["faces"], 0) in images
    outcome = faces_gone_after_blurring(blurred, SHARD)
    assert outcome.passed
    assert "0 licence plates blurred" in outcome.summary
    write_cards(blurred)
    card = next(blurred.home.glob("cards/*dataset*.md")).read_text()
    assert "2 of 2" in card
    assert "No detector finds everything" in card


def test_while_it_is_off_no_file_is_made_and_no_provenance_knows_of_it(plain, tiny) -> None:
    assert make_deidentified_images(plain, SHARD) is None
    assert not plain.storage.exists(artifact_name(AssetName.DEIDENTIFIED_IMAGES, SHARD))
    for asset in (AssetName.IMAGE_EMBEDDINGS, AssetName.CANDIDATE_MASKS, AssetName.SA1B_EXPORT):
        header = read_header(plain.storage, asset, SHARD)
        assert header is not None
        assert "deidentified_images" not in header.inputs
    assert set(shard_freshness(plain, SHARD, tiny.ref).values()) == {Freshness.FRESH}
    assert exported(plain) == {image_id: jpeg for image_id, jpeg in raw(plain).items() if jpeg is not None}


def test_switching_it_on_makes_all_but_the_raw_images_stale_and_off_again_gives_the_same_bytes(plain, tiny) -> None:
    names = [artifact_name(asset, SHARD) for asset in AssetName if asset is not AssetName.DEIDENTIFIED_IMAGES]
    names.append(export_tar_name(SHARD))
    before = {name: plain.storage.digest(name) for name in names}
    on = with_deidentification(plain, enabled=True)
    states = shard_freshness(on, SHARD, tiny.ref)
    assert states.pop(AssetName.RAW_IMAGES) is Freshness.FRESH
    assert states.pop(AssetName.DEIDENTIFIED_IMAGES) is Freshness.MISSING
    assert set(states.values()) == {Freshness.STALE}
    make_shard(on, tiny)
    assert set(shard_freshness(on, SHARD, tiny.ref).values()) == {Freshness.FRESH}
    lower = with_deidentification(plain, enabled=True, min_face_score=0.2)
    assert shard_freshness(lower, SHARD, tiny.ref)[AssetName.SA1B_EXPORT] is Freshness.STALE
    make_shard(plain, tiny)
    assert {name: plain.storage.digest(name) for name in names} == before


def test_pixels_that_nobody_has_looked_at_are_shown_to_nobody(plain, tiny) -> None:
    on = with_deidentification(plain, enabled=True)
    for ask in (
        lambda: read_jpeg(on, SHARD, ASTRONAUT),
        lambda: Pictures(on).jpeg(ASTRONAUT),
        lambda: contact_sheet(on, SHARD),
        lambda: make_image_embeddings(on, SHARD, tiny),
        lambda: make_sa1b_export(on, SHARD),
    ):
        with pytest.raises(ArtifactError, match=r"materialize deidentified_images"):
            ask()


def test_a_run_that_is_stopped_goes_on_with_the_next_image(plain, monkeypatch) -> None:
    on = with_deidentification(plain, enabled=True, min_face_height=24)
    detect, looked_at = CenterFace.detect, []

    def stop_at_the_second(self, image):
        looked_at.append(image.shape)
        if len(looked_at) == 3:  # the first image twice, once more after it was blurred
            raise KeyboardInterrupt
        return detect(self, image)

    monkeypatch.setattr(CenterFace, "detect", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        make_deidentified_images(on, SHARD)
    monkeypatch.setattr(CenterFace, "detect", lambda self, image: looked_at.append("again") or detect(self, image))
    make_deidentified_images(on, SHARD)
    assert looked_at.count("again") == 1


def test_what_people_found_is_blurred_too_and_makes_no_other_shard_stale(plain, tiny, tmp_path) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text(f"image_id,kind,x,y,width,height\n{COFFEE},license_plate,20,30,40,20\n")
    on = with_deidentification(plain, enabled=True, faces=None, extra_boxes=str(file))
    result = make_deidentified_images(on, SHARD)
    assert result is not None
    assert (result.header.counts["license_plates"], result.header.counts["changed"]) == (1, 1)
    before, after = raw(on)[COFFEE], read_jpeg(on, SHARD, COFFEE)
    assert after is not None
    assert roughness(after, (22, 32, 36, 16)) < roughness(before, (22, 32, 36, 16)) / 3
    file.write_text(file.read_text() + "9999,face,1,1,5,5\n")
    assert shard_freshness(on, SHARD, tiny.ref)[AssetName.DEIDENTIFIED_IMAGES] is Freshness.FRESH
    file.write_text(file.read_text() + f"{ASTRONAUT},face,1,1,5,5\n")
    assert shard_freshness(on, SHARD, tiny.ref)[AssetName.DEIDENTIFIED_IMAGES] is Freshness.STALE


@pytest.mark.parametrize("settings_known", [True, False])
def test_verify_finds_the_dataset_sound_and_a_picture_that_is_not_the_blurred_one(
    blurred, tmp_path, settings_known
) -> None:
    dataset = copy_of(blurred, tmp_path / "home")
    shown = dataset if settings_known else open_dataset(dataset.home, DatasetConfig())
    place = Place(shown, alone=False, settings_known=settings_known)
    assert verify(place, jobs=1).findings == ()
    plain = with_deidentification(dataset, enabled=False)
    make_sa1b_export(plain, SHARD)
    assert {finding.kind for finding in verify(place, jobs=1).findings} & {FindingKind.STALE, FindingKind.DAMAGED}


def test_verify_loads_no_detector_that_the_settings_of_a_storage_name(blurred, tmp_path) -> None:
    dataset = with_deidentification(copy_of(blurred, tmp_path / "home"), enabled=True, faces="somebody.elses:detector")
    save_config(dataset)
    assert verify(find_place(f"file://{dataset.home}")).findings == ()
    with pytest.raises(SettingsError, match=r"somebody\.elses:detector"):
        verify(find_place(str(dataset.home)))
