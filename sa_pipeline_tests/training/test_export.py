"""Exported weights load into `tiny` and draw the same masks with steeper logits."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from segment_anything import SamPredictor

from sa_pipeline.sam.tiny import build_tiny
from sa_pipeline.training.export import export_weights, scale_logits
from sa_pipeline.training.loop import OptimizerSettings, new_state


def test_exported_weights_are_half_precision_and_load_into_tiny(tmp_path: Path):
    export_weights(new_state(build_tiny(), OptimizerSettings(), seed=1), tmp_path / "tiny.safetensors")
    weights = load_file(tmp_path / "tiny.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float16}
    build_tiny().load_state_dict(weights)


def test_scaled_weights_give_scaled_logits_also_when_a_mask_is_refined():
    torch.manual_seed(4)
    plain, steep = build_tiny(), build_tiny()
    steep.load_state_dict(scale_logits(plain.state_dict(), 4.0))
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3)).astype(np.uint8)
    found = []
    for sam in (plain, steep):
        predictor = SamPredictor(sam)
        predictor.set_image(image)
        click = {"point_coords": np.array([[60, 40]]), "point_labels": np.array([1])}
        _, _, first = predictor.predict(**click)
        _, _, second = predictor.predict(**click, mask_input=first[:1], multimask_output=False)
        found.append((first, second))
    for expected, scaled in zip(*found, strict=True):
        np.testing.assert_allclose(scaled, 4.0 * expected, rtol=1e-3, atol=1e-3)
