"""The ViT encoder in pieces gives the official encoder's embedding, whatever the size of the pieces."""

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Attention

from sa_pipeline.sam import vit_encoder

IMAGE = 112


@pytest.fixture(scope="module", params=[True, False], ids=["relative_positions", "no_relative_positions"])
def encoder(request) -> ImageEncoderViT:
    """Two windowed blocks, whose windows need padding, and a global one."""
    torch.manual_seed(0)
    made = ImageEncoderViT(
        img_size=IMAGE,
        embed_dim=48,
        depth=3,
        num_heads=3,
        out_chans=16,
        window_size=4,
        global_attn_indexes=(1,),
        use_rel_pos=request.param,
    )
    for parameter in made.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return made.eval()


@pytest.mark.parametrize("scores_at_once", [1, 40, 1000, 1 << 20])
def test_the_embedding_is_the_official_one(encoder, scores_at_once, monkeypatch) -> None:
    monkeypatch.setitem(vit_encoder.SCORES_AT_ONCE, "cpu", scores_at_once)
    image = torch.randn(2, 3, IMAGE, IMAGE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        official, ours = encoder(image), vit_encoder.encode_with_vit(encoder, image)
    assert official.shape == ours.shape == (2, 16, 7, 7)
    assert (ours - official).abs().max() <= 1e-5 * official.abs().max()


@pytest.mark.parametrize("threads", [1, 2])
def test_heads_in_turns_have_the_official_bits(threads) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        attention = Attention(dim=768, num_heads=12, use_rel_pos=True, input_size=(64, 64)).eval()
        x = torch.randn(1, 64, 64, 768, generator=torch.Generator().manual_seed(3))
        with torch.no_grad():
            assert torch.equal(vit_encoder._attend_by_heads(attention, x), attention(x))
            assert vit_encoder._heads_at_once(12, 64 * 64, 64) == threads
    finally:
        torch.set_num_threads(before)


def test_where_heads_cannot_take_turns_the_official_code_is_used_and_said_so(monkeypatch) -> None:
    heads = 4 * torch.get_num_threads()
    vit_encoder._in_turns_as_together.cache_clear()
    monkeypatch.setattr(vit_encoder, "_heads_are_independent", lambda *_: False)
    monkeypatch.setattr(vit_encoder, "HEADS_SCORES_AT_ONCE", 0)
    with pytest.warns(RuntimeWarning, match="the official encoder is used as it is"):
        assert vit_encoder._heads_at_once(heads, 4, 8) == heads
    vit_encoder._in_turns_as_together.cache_clear()


def test_bit_for_bit_the_embedding_is_the_official_one(encoder, monkeypatch) -> None:
    monkeypatch.setattr(vit_encoder, "HEADS_SCORES_AT_ONCE", 0)
    image = torch.randn(2, 3, IMAGE, IMAGE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(vit_encoder.encode_with_vit(encoder, image, bit_for_bit=True), encoder(image))


def test_in_16_bits_the_embedding_is_close(encoder) -> None:
    image = torch.randn(1, 3, IMAGE, IMAGE, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        official = encoder(image)
        with torch.autocast("cpu", torch.bfloat16):
            ours = vit_encoder.encode_with_vit(encoder, image).float()
    assert (ours - official).norm() <= 0.05 * official.norm()
