"""`generate_masks` returns what the official generator returns, mask for mask, in the same order."""

import numpy as np
import pytest
import skimage.data
import torch
from pycocotools import mask as coco_mask
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import Sam

from sa_pipeline import MaskSettings, generate_masks
from sa_pipeline.generation import stable_masks
from sa_pipeline.masks.enlargement import Enlargement
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.sam.tiny import build_tiny

ODD = (213, 301)
SQUARE = (256, 256)
SMALL = (40, 27)
LARGE = (700, 1100)


class LocalisingDecoder(torch.nn.Module):
    """A mask decoder of random weights whose logits also fall off with the distance from the prompt.

    Random weights alone give speckle over the whole image, all of it one box. The distance is told by the likeness
    of the point's own position code to that of every cell, so that this is a plain function of the decoder's inputs.
    """

    def __init__(self, decoder: torch.nn.Module, point_embedding: torch.Tensor) -> None:
        super().__init__()
        self.decoder = decoder
        self.point_embedding = point_embedding

    def forward(self, **inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, predicted_iou = self.decoder(**inputs)
        position = inputs["sparse_prompt_embeddings"][:, 0] - self.point_embedding
        likeness = torch.einsum("nc,chw->nhw", position, inputs["image_pe"][0])[:, None] / position.shape[1] * 2
        near = torch.nn.functional.interpolate(likeness, logits.shape[-2:], mode="bilinear", align_corners=False)
        reach = torch.tensor([0.5, 0.3, 0.15])[None, :, None, None]
        return 0.5 * logits / logits.std() + 20.0 * (near - reach), predicted_iou + 0.9


@pytest.fixture(scope="module")
def random_sam() -> Sam:
    torch.manual_seed(7)
    sam = build_tiny()
    sam.mask_decoder = LocalisingDecoder(sam.mask_decoder, sam.prompt_encoder.point_embeddings[1].weight)
    return sam


def crop_of(photo: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows = np.linspace(0, photo.shape[0] - 1, size[0]).astype(int)
    columns = np.linspace(0, photo.shape[1] - 1, size[1]).astype(int)
    return np.ascontiguousarray(photo[rows][:, columns])


@pytest.mark.parametrize(
    ("size", "settings"),
    [
        (ODD, MaskSettings(points_per_side=6, pred_iou_thresh=0.0, stability_score_thresh=0.5)),
        (SQUARE, MaskSettings(points_per_side=9, pred_iou_thresh=0.0, stability_score_thresh=0.6, box_nms_thresh=0.5)),
        (ODD, MaskSettings(points_per_side=6, crop_n_layers=1, pred_iou_thresh=0.0, stability_score_thresh=0.5)),
        (
            ODD,
            MaskSettings(
                points_per_side=8,
                crop_n_layers=2,
                crop_n_points_downscale_factor=2,
                pred_iou_thresh=0.0,
                stability_score_thresh=0.5,
                min_mask_region_area=100,
            ),
        ),
        (
            SQUARE,
            MaskSettings(
                points_per_side=6, pred_iou_thresh=0.0, stability_score_thresh=0.5, min_mask_region_area=100
            ),
        ),
        (SMALL, MaskSettings(points_per_side=5, crop_n_layers=1, pred_iou_thresh=0.0, stability_score_thresh=0.4)),
        (LARGE, MaskSettings(points_per_side=5, crop_n_layers=1, pred_iou_thresh=0.0, stability_score_thresh=0.5)),
        (
            ODD,
            MaskSettings(
                points_per_side=7, points_per_batch=16, pred_iou_thresh=0.0, stability_score_thresh=0.7,
                stability_score_offset=0.5, crop_n_layers=1, crop_overlap_ratio=0.2, crop_nms_thresh=0.4,
            ),
        ),
        (SQUARE, MaskSettings(points_per_side=5, pred_iou_thresh=0.0, stability_score_thresh=0.0)),
        (  # more than 1,000 masks, whose order torchvision leaves to a sort that is not stable
            SMALL,
            MaskSettings(
                points_per_side=19, pred_iou_thresh=0.0, stability_score_thresh=0.0, min_mask_region_area=5,
                box_nms_thresh=1.0, crop_nms_thresh=1.0,
            ),
        ),
    ],
)  # fmt: skip
def test_equals_the_official_generator(random_sam: Sam, size: tuple[int, int], settings: MaskSettings) -> None:
    image = crop_of(skimage.data.astronaut(), size)
    arguments = settings.model_dump(include=set(MaskSettings.model_fields) - ADDITIONS)
    official = SamAutomaticMaskGenerator(random_sam, output_mode="coco_rle", **arguments).generate(image)
    ours = generate_masks(image, random_sam, settings)
    assert len(official) > 1
    np.testing.assert_equal(ours, official)


BUILT_IN = {"points_per_side": 8, "pred_iou_thresh": 0.25, "stability_score_thresh": 0.4, "crop_n_layers": 1}


def test_the_built_in_checkpoint_gives_the_official_generators_masks(tiny: LoadedModel) -> None:
    image = crop_of(skimage.data.astronaut(), ODD)
    official = SamAutomaticMaskGenerator(tiny.sam, output_mode="coco_rle", **BUILT_IN).generate(image)
    assert len(official) > 5
    np.testing.assert_equal(generate_masks(image, tiny.sam, MaskSettings(**BUILT_IN)), official)


def test_in_float32_the_masks_differ_by_rounding_at_most(tiny: LoadedModel) -> None:
    image, settings = crop_of(skimage.data.astronaut(), ODD), MaskSettings(**BUILT_IN)
    reference = generate_masks(image, tiny.sam, settings)
    ours = generate_masks(image, tiny.sam, settings, arithmetic="float32")
    assert [annotation["point_coords"] for annotation in ours] == [each["point_coords"] for each in reference]
    for mine, twin in zip(ours, reference, strict=True):
        masks = [coco_mask.decode(each["segmentation"]).astype(bool) for each in (mine, twin)]
        assert (masks[0] & masks[1]).sum() >= 0.999 * (masks[0] | masks[1]).sum()
        assert mine["predicted_iou"] == pytest.approx(twin["predicted_iou"], abs=1e-5)


def test_where_torch_rounds_otherwise_the_masks_are_the_same(tiny: LoadedModel, monkeypatch) -> None:
    image, settings = crop_of(skimage.data.astronaut(), ODD), MaskSettings(**BUILT_IN)
    expected = generate_masks(image, tiny.sam, settings)
    monkeypatch.setattr(stable_masks, "torchs_rounding", lambda sizes: None)
    np.testing.assert_equal(generate_masks(image, tiny.sam, settings), expected)


def test_a_torch_that_rounds_otherwise_is_found_out(monkeypatch) -> None:
    interpolate = torch.nn.functional.interpolate
    monkeypatch.setattr(
        stable_masks.functional, "interpolate", lambda *args, **kwargs: interpolate(*args, **kwargs) * (1 + 2**-23)
    )
    stable_masks._lines_first.cache_clear()
    with pytest.warns(RuntimeWarning, match="another rounding than our kernel"):
        assert stable_masks.torchs_rounding(Enlargement((64, 64), 256, (256, 171), (375, 251))) is None
    stable_masks._lines_first.cache_clear()


ADDITIONS = {
    "pred_iou_floor",
    "stability_score_floor",
    "max_image_cover",
    "min_area",
    "drop_small_masks",
    "mask_nms_thresh",
    "mask_containment_thresh",
}


def test_threshold_on_predicted_iou_is_exclusive_as_in_the_official_generator(random_sam: Sam) -> None:
    image = crop_of(skimage.data.chelsea(), ODD)
    every = generate_masks(
        image, random_sam, MaskSettings(points_per_side=6, pred_iou_thresh=0.0, stability_score_thresh=0.4)
    )
    threshold = float(np.median([annotation["predicted_iou"] for annotation in every]))
    arguments = {"points_per_side": 6, "pred_iou_thresh": threshold, "stability_score_thresh": 0.4}
    official = SamAutomaticMaskGenerator(random_sam, output_mode="coco_rle", **arguments).generate(image)
    ours = generate_masks(image, random_sam, MaskSettings(**arguments))
    np.testing.assert_equal(ours, official)
    assert 0 < len(ours) < len(every)


def test_an_image_of_the_wrong_shape_is_refused_with_a_clear_sentence(random_sam: Sam) -> None:
    with pytest.raises(ValueError, match=r"expected \(H, W, 3\) uint8 RGB, got \(8, 8\) float64"):
        generate_masks(np.zeros((8, 8)), random_sam)
