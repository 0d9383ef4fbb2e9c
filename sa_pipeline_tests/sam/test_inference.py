"""Encoding an image in two steps, and several at once."""

import numpy as np
import pytest
import skimage.data
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import ImageEncoderViT, Sam
from segment_anything.utils.transforms import ResizeLongestSide

from sa_pipeline.sam.inference import encode_image, encode_prepared, prepare_image
from sa_pipeline.settings import Arithmetic

WIDE = skimage.data.coffee()
TALL = np.ascontiguousarray(skimage.data.astronaut()[:, 100:400])


@pytest.fixture(scope="module")
def small_vit() -> Sam:
    torch.manual_seed(0)
    encoder = ImageEncoderViT(
        img_size=256, embed_dim=64, depth=2, num_heads=4, use_rel_pos=True, global_attn_indexes=(1,)
    )
    return Sam(encoder, torch.nn.Identity(), torch.nn.Identity()).eval()


def officially(sam: Sam, image: np.ndarray) -> torch.Tensor:
    resized = ResizeLongestSide(sam.image_encoder.img_size).apply_image(image)
    with torch.no_grad():
        return sam.image_encoder(sam.preprocess(torch.as_tensor(resized).permute(2, 0, 1).contiguous()[None]))


@pytest.mark.parametrize("image", [WIDE, TALL], ids=["wide", "tall"])
def test_tiny_prepared_beforehand_is_as_the_official_predictor_encodes_it(tiny, image) -> None:
    predictor = SamPredictor(tiny.sam)
    predictor.set_image(image)
    assert torch.equal(encode_prepared(tiny.sam, [prepare_image(tiny.sam, image)]), predictor.features)


@pytest.mark.parametrize("arithmetic", [Arithmetic.REFERENCE, Arithmetic.FLOAT32])
def test_several_images_at_once_are_as_each_alone(tiny, small_vit, arithmetic) -> None:
    for sam in (tiny.sam, small_vit):
        together = encode_prepared(sam, [prepare_image(sam, image) for image in (WIDE, TALL)], arithmetic)
        for image, embedding in zip((WIDE, TALL), together, strict=True):
            alone = encode_image(sam, image, arithmetic)[0]
            assert (embedding - alone).abs().max() < 1e-4 * alone.abs().max()


def test_reference_is_the_official_encoder_bit_for_bit(small_vit) -> None:
    assert torch.equal(encode_image(small_vit, WIDE), officially(small_vit, WIDE))
