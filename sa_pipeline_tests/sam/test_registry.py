"""Checkpoints: official files load in the real code path, and mistakes are named."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from segment_anything import sam_model_registry

from sa_pipeline.errors import CheckpointError
from sa_pipeline.sam.adding import add_checkpoint
from sa_pipeline.sam.registry import OFFICIAL, checkpoint_names, checkpoint_path, checkpoint_ref, load_model


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The checkpoint folder, not there yet."""
    monkeypatch.setenv("SA_PIPELINE_CHECKPOINTS", str(tmp_path / "checkpoints"))
    return tmp_path / "checkpoints"


def save_retrained_tiny(path: Path, dtype: torch.dtype = torch.float32) -> None:
    state = load_file(checkpoint_path("tiny"))
    shifted = {key: (value + 0.25).to(dtype) for key, value in state.items()}
    save_file(shifted, path) if path.suffix == ".safetensors" else torch.save(shifted, path)


def test_a_file_in_the_official_format_loads_with_its_own_weights(tmp_path) -> None:
    torch.manual_seed(3)
    official = sam_model_registry["vit_b"]()
    path = tmp_path / "retrained.pth"
    torch.save(official.state_dict(), path)
    model = load_model(str(path))
    assert model.ref.architecture == "vit_b"
    assert model.ref.name == "retrained"
    assert model.ref.digest == checkpoint_ref(str(path)).digest
    for name, value in official.state_dict().items():
        assert torch.equal(model.sam.state_dict()[name].cpu(), value), name


def test_a_missing_official_checkpoint_says_what_to_put_where(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SA_PIPELINE_CHECKPOINTS", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"checkpoints download vit_b.*sam_vit_b_01ec64\.pth.*into") as error:
        checkpoint_path("vit_b")
    assert OFFICIAL["vit_b"].url in str(error.value)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_damaged_file_is_named(tmp_path, suffix) -> None:
    path = tmp_path / f"damaged.{suffix}"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match=rf"damaged\.{suffix} cannot be read"):
        load_model(str(path))


def test_weights_of_another_model_are_refused(tmp_path) -> None:
    path = tmp_path / "other.pth"
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(CheckpointError, match=r"other\.pth holds neither image_encoder\.pos_embed nor"):
        checkpoint_ref(str(path))


def test_a_file_under_an_official_name_must_be_the_official_one(folder) -> None:
    folder.mkdir()
    (folder / "sam_vit_b_01ec64.pth").write_bytes(b"retrained")
    with pytest.raises(CheckpointError, match=r"vit_b: .*expected ec2df627.*checkpoints add NAME PATH"):
        load_model("vit_b")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(CheckpointError, match="one of tiny, vit_b, vit_l, vit_h or the path"):
        load_model("vit_x")


@pytest.mark.parametrize("file_name", ["mine.safetensors", "mine.pth"])
def test_an_added_checkpoint_is_used_by_its_name_even_when_the_original_is_gone(tmp_path, folder, file_name) -> None:
    path = tmp_path / file_name
    save_retrained_tiny(path, torch.float16)
    added = add_checkpoint("night-shots", path)
    assert add_checkpoint("night-shots", path) == added
    path.unlink()
    model = load_model("night-shots")
    assert (model.ref.name, model.ref.architecture, model.ref.digest) == ("night-shots", "tiny", added.sha256)
    assert "night-shots" in checkpoint_names()


def test_what_cannot_be_loaded_is_not_registered(tmp_path, folder) -> None:
    state = load_file(checkpoint_path("tiny"))
    state.popitem()
    save_file(state, tmp_path / "cut.safetensors")
    with pytest.raises(CheckpointError, match=r"cut\.safetensors cannot be loaded as tiny"):
        add_checkpoint("cut", tmp_path / "cut.safetensors")
    assert not folder.exists()


def test_a_name_is_not_given_twice(tmp_path, folder) -> None:
    save_retrained_tiny(tmp_path / "mine.pth")
    add_checkpoint("mine", tmp_path / "mine.pth")
    with pytest.raises(CheckpointError, match="mine is taken by other weights"):
        add_checkpoint("mine", checkpoint_path("tiny"))
    with pytest.raises(CheckpointError, match="vit_b belongs to"):
        add_checkpoint("vit_b", tmp_path / "mine.pth")
    with pytest.raises(CheckpointError, match="no name for a checkpoint"):
        add_checkpoint("../mine", tmp_path / "mine.pth")


def test_weights_that_were_changed_after_they_were_added_are_refused(tmp_path, folder) -> None:
    save_retrained_tiny(tmp_path / "mine.pth")
    add_checkpoint("mine", tmp_path / "mine.pth")
    (folder / "mine.pth").write_bytes(b"something else")
    with pytest.raises(CheckpointError, match=r"mine: .*has the SHA-256"):
        load_model("mine")
