"""Checkpoints: official files load in the real code path, and mistakes are named."""

import pytest
import torch
from segment_anything import sam_model_registry

from sa_pipeline.errors import CheckpointError
from sa_pipeline.sam.registry import OFFICIAL, checkpoint_path, checkpoint_ref, load_model


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


def test_a_damaged_file_is_named(tmp_path) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match=r"damaged\.safetensors cannot be loaded as tiny"):
        load_model(str(path))


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(CheckpointError, match="one of tiny, vit_b, vit_l, vit_h or the path"):
        load_model("vit_x")
