"""The demo's photographs as a dataset: where its files go, and that no other dataset gets them."""

from pathlib import Path

import pytest

from sa_pipeline.dataset import STORAGE_VARIABLE, Dataset, open_dataset
from sa_pipeline.demo import DEMO_IMAGES, with_demo_images
from sa_pipeline.errors import SettingsError
from sa_pipeline.images.ledger import append_new_images
from sa_pipeline.settings import preset


def test_the_demo_lies_in_the_storage_that_is_named_and_can_be_called_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STORAGE_VARIABLE, str(tmp_path / "storage"))
    made = with_demo_images(open_dataset(tmp_path / "home"), preset("fast"))
    assert made.storage.url == str(tmp_path / "storage")
    assert (made.settings, made.config.source) == (preset("fast"), str(tmp_path / "home" / "demo_images"))
    assert {path.name for path in Path(made.config.source).iterdir()} == set(DEMO_IMAGES)
    append_new_images(made.storage, made.config.source, made.settings.images)
    assert with_demo_images(made, preset("fast")).config == made.config


def test_a_dataset_of_other_images_is_not_given_the_demos(dataset: Dataset) -> None:
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    without_source = open_dataset(dataset.home, dataset.config.model_copy(update={"source": None}))
    for each in (dataset, without_source):
        with pytest.raises(SettingsError, match=f"{dataset.home} is a dataset of other images"):
            with_demo_images(each, preset("fast"))
    assert not (dataset.home / "demo_images").exists()
