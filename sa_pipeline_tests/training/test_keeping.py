"""A decoder that learns something new is pulled back to what it answered to a click before."""

import numpy as np
import torch

from sa_pipeline.sam.tiny import build_tiny
from sa_pipeline.training.initial_corrections import bind_corrections
from sa_pipeline.training.initial_weights import bind_positions, bind_regions
from sa_pipeline.training.keeping import EarlierAnswers, decoder_weights
from sa_pipeline.training.loop import set_input_size
from sa_pipeline.training.samples import prepare_sample
from sa_pipeline.training.scenes import draw_scene


def test_the_same_decoder_loses_nothing_and_a_changed_one_comes_back():
    torch.manual_seed(5)
    sam = build_tiny()
    bind_positions(sam)
    bind_regions(sam)
    set_input_size(sam, 128)
    sample = prepare_sample(draw_scene((5, 1), (128, 128), 0.2), 128, np.random.default_rng(5), augment=False)
    assert sample is not None
    with torch.no_grad():
        embedding = sam.image_encoder(sample.image[None])
    earlier = EarlierAnswers(sam, decoder_weights(sam))

    def difference() -> torch.Tensor:
        return earlier.loss(sam, embedding, sample, np.random.default_rng(6), torch.float32)

    assert abs(float(difference().detach())) < 1e-3
    bind_corrections(sam)
    changed = float(difference().detach())
    assert changed > 0.01
    optimizer = torch.optim.AdamW(sam.mask_decoder.parameters(), lr=3e-4)
    for _ in range(15):
        optimizer.zero_grad()
        difference().backward()
        optimizer.step()
    assert float(difference().detach()) < 0.7 * changed
