"""Decoders that share work between prompts say what `segment_anything`'s own says, within the arithmetic asked for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from sa_pipeline.errors import SettingsError
from sa_pipeline.sam import instructions, shared_work
from sa_pipeline.sam.point_decoding import WholeDecoder, open_decoder
from sa_pipeline.settings import Arithmetic

SIZE = (96, 128)
CELLS, CHANNELS, LAYERS = 8, 64, 3


@pytest.fixture(scope="module")
def sam() -> Sam:
    """A `Sam` of other sizes than any known one: 128 px, 8 x 8 cells, 64 channels, a transformer of three layers."""
    torch.manual_seed(5)
    model = Sam(
        image_encoder=ImageEncoderViT(img_size=128, embed_dim=32, depth=1, num_heads=2, out_chans=CHANNELS),
        prompt_encoder=PromptEncoder(CHANNELS, (CELLS, CELLS), (128, 128), mask_in_chans=16),
        mask_decoder=MaskDecoder(
            transformer_dim=CHANNELS,
            transformer=TwoWayTransformer(depth=LAYERS, embedding_dim=CHANNELS, num_heads=4, mlp_dim=96),
        ),
    )
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)  # no bias and no norm is without effect
    return model.eval()


@pytest.fixture(scope="module")
def embedding() -> torch.Tensor:
    return torch.randn(1, CHANNELS, CELLS, CELLS, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.random.default_rng(2).uniform((0, 0), SIZE[::-1], (23, 2))


def distance(ours: torch.Tensor, official: torch.Tensor) -> float:
    return float((ours - official).abs().max() / official.abs().max())


@pytest.mark.parametrize(("arithmetic", "tolerance"), [("reference", 0.0), ("float32", 1e-5), ("bfloat16", 0.05)])
def test_scores_and_logits_are_the_official_decoders(
    sam, embedding, points, arithmetic, tolerance, monkeypatch
) -> None:
    monkeypatch.setattr(instructions, "is_imitated", lambda dtype, device: False)  # slow, not wrong
    official = WholeDecoder(sam, embedding, torch.float32).decode(points, SIZE, 0.0)
    ours = open_decoder(sam, embedding, Arithmetic(arithmetic)).decode(points, SIZE, 0.0)
    assert official.logits.shape == (3 * len(points), 4 * CELLS, 4 * CELLS)
    assert official.logits.std(dim=0).max() > 0.1 * official.logits.abs().max()
    assert distance(ours.predicted_iou, official.predicted_iou) <= tolerance
    assert distance(ours.logits, official.logits) <= tolerance
    assert ours.logits.dtype == ours.predicted_iou.dtype == torch.float32


@pytest.mark.parametrize("arithmetic", ["reference", "float32"])
@pytest.mark.parametrize("share", [0.05, 0.5, 1.0])
def test_masks_above_the_floor_are_drawn_and_no_others(sam, embedding, points, arithmetic, share) -> None:
    everything = WholeDecoder(sam, embedding, torch.float32).decode(points, SIZE, 0.0)
    positive = everything.predicted_iou[everything.predicted_iou > 0].sort().values
    floor = float(positive[round(share * (len(positive) - 1))]) + 1e-4  # between two scores
    ours = open_decoder(sam, embedding, Arithmetic(arithmetic)).decode(points, SIZE, floor)
    expected = (everything.predicted_iou > floor).nonzero()[:, 0]
    assert ours.confident.tolist() == expected.tolist()
    torch.testing.assert_close(ours.logits, everything.logits[expected], rtol=0, atol=1e-4)


def test_one_point_alone_gives_what_it_gives_among_others(sam, embedding, points) -> None:
    decoder = open_decoder(sam, embedding, Arithmetic.FLOAT32)
    together, alone = decoder.decode(points, SIZE, 0.0), decoder.decode(points[4:5], SIZE, 0.0)
    torch.testing.assert_close(alone.logits, together.logits[12:15], rtol=0, atol=1e-4)


@pytest.mark.parametrize("room", [1, 50_000])
def test_how_much_is_worked_on_at_once_changes_nothing(sam, embedding, points, monkeypatch, room) -> None:
    official = WholeDecoder(sam, embedding, torch.float32).decode(points, SIZE, 0.0)
    monkeypatch.setattr(shared_work, "CACHED_BYTES", room)
    monkeypatch.setattr(shared_work, "UPSCALED_BYTES", room)
    ours = open_decoder(sam, embedding, Arithmetic.FLOAT32).decode(points, SIZE, 0.0)
    assert distance(ours.predicted_iou, official.predicted_iou) <= 1e-5
    assert distance(ours.logits, official.logits) <= 1e-5


def test_bfloat16_is_refused_on_a_cpu_that_imitates_it(sam, embedding, monkeypatch) -> None:
    monkeypatch.setattr(instructions, "is_imitated", lambda dtype, device: dtype == torch.bfloat16)
    expected = "arithmetic: this CPU has no instructions for bfloat16, .*; choose float32"
    with pytest.raises(SettingsError, match=expected):
        open_decoder(sam, embedding, Arithmetic.BFLOAT16)
    open_decoder(sam, embedding, Arithmetic.FLOAT32)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="needs Linux's list of a CPU's instructions")
def test_bfloat16_is_imitated_where_the_cpu_lists_nothing_for_it() -> None:
    flags = set(Path("/proc/cpuinfo").read_text().split())
    if "avx512_bf16" in flags:
        assert not instructions.is_imitated(torch.bfloat16)
    if "avx2" in flags and not flags & {"avx512f", "avx_ne_convert", "avx_vnni_int8"}:
        assert instructions.is_imitated(torch.bfloat16)
    assert not instructions.is_imitated(torch.float32)


def test_float16_is_refused_on_a_cpu(sam, embedding) -> None:
    with pytest.raises(SettingsError, match=r"arithmetic: float16 needs a GPU; on a CPU choose float32 or bfloat16"):
        open_decoder(sam, embedding, Arithmetic.FLOAT16)
