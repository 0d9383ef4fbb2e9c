"""Drop path and layer-wise learning rates for `segment_anything`'s own ViT encoder."""

from contextlib import ExitStack
from functools import partial

import numpy as np
import pytest
import torch
from segment_anything.modeling import ImageEncoderViT

from sa_pipeline.sam.tiny import build_tiny
from sa_pipeline.training.drop_path import drop_path
from sa_pipeline.training.parameter_groups import RATE_SHARE, parameter_groups
from sa_pipeline.training.recomputing import recomputed


class Holder(torch.nn.Module):
    """An encoder where a `Sam` has it."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.image_encoder = encoder
        self.mask_decoder = torch.nn.Linear(2, 2)


@pytest.fixture
def encoder() -> ImageEncoderViT:
    torch.manual_seed(5)
    return ImageEncoderViT(
        img_size=64,
        embed_dim=16,
        depth=3,
        num_heads=2,
        out_chans=8,
        use_rel_pos=True,
        window_size=3,
        global_attn_indexes=(2,),
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
    )


def draws(*seeds: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in seeds]


def test_an_image_drops_the_same_branches_whatever_is_in_its_batch(encoder: ImageEncoderViT):
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        with drop_path(encoder, 0.9, draws(1, 2)):
            both = encoder(images)
        with drop_path(encoder, 0.9, draws(2)):
            second = encoder(images[1:])
        with drop_path(encoder, 0.9, draws(3)):
            other = encoder(images[1:])
    torch.testing.assert_close(both[1:], second)
    assert not torch.allclose(second, other)


def test_afterwards_the_encoder_is_what_it_was(encoder: ImageEncoderViT):
    image = torch.randn(1, 3, 64, 64)
    keys = list(encoder.state_dict())
    with torch.no_grad():
        before = encoder(image)
        with drop_path(encoder, 0.9, draws(4)):
            assert list(encoder.state_dict()) == keys
            assert not torch.equal(encoder(image), before)
        assert torch.equal(encoder(image), before)


def test_the_mean_over_many_draws_keeps_the_size_of_a_branch(encoder: ImageEncoderViT):
    def branch(_module: object, _inputs: object, output: torch.Tensor) -> None:
        seen.append(float(output.mean()))

    seen: list[float] = []
    with torch.no_grad(), drop_path(encoder, 0.5, draws(*range(400))):
        encoder.blocks[2].mlp.register_forward_hook(lambda *_: torch.ones(400, 4, 4, 16), prepend=True)
        encoder.blocks[2].mlp.register_forward_hook(branch)
        encoder(torch.zeros(400, 3, 64, 64))
    assert seen[0] == pytest.approx(1.0, abs=0.15)


def test_recomputed_blocks_have_the_same_gradient_with_drop_path_and_keep_fewer_numbers(encoder: ImageEncoderViT):
    found = []
    for less in (False, True):
        kept: list[torch.Tensor] = []
        encoder.zero_grad()
        with ExitStack() as stack:
            stack.enter_context(drop_path(encoder, 0.5, draws(7, 8)))
            if less:
                stack.enter_context(recomputed(encoder))
            with torch.autograd.graph.saved_tensors_hooks(lambda t, kept=kept: kept.append(t) or t, lambda t: t):
                output = encoder(torch.ones(2, 3, 64, 64))
            output.square().sum().backward()
        gradients = {name: parameter.grad.clone() for name, parameter in encoder.named_parameters()}
        found.append((sum(t.numel() for t in kept), gradients))
    assert "forward" not in vars(encoder.blocks[0])
    (all_numbers, expected), (fewer_numbers, gradients) = found
    assert fewer_numbers < 0.7 * all_numbers
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, msg=name)


def test_each_block_learns_slower_than_the_one_after_it(encoder: ImageEncoderViT):
    model = Holder(encoder)
    share = {
        id(parameter): group[RATE_SHARE] for group in parameter_groups(model, 0.1, 0.5) for parameter in group["params"]
    }
    found = {name: share[id(parameter)] for name, parameter in model.named_parameters()}
    assert len(found) == len(share)
    assert found["image_encoder.pos_embed"] == found["image_encoder.patch_embed.proj.weight"] == 0.5**4
    assert [found[f"image_encoder.blocks.{i}.attn.qkv.weight"] for i in range(3)] == [0.5**3, 0.5**2, 0.5]
    assert found["image_encoder.neck.0.weight"] == found["mask_decoder.bias"] == 1.0


def test_vectors_are_not_decayed_and_an_encoder_without_blocks_has_one_rate():
    groups = parameter_groups(build_tiny(), 0.1, 0.5)
    assert [(group["weight_decay"], group[RATE_SHARE]) for group in groups] == [(0.1, 1.0), (0.0, 1.0)]
    assert all(parameter.ndim > 1 for parameter in groups[0]["params"])
    assert all(parameter.ndim <= 1 for parameter in groups[1]["params"])
