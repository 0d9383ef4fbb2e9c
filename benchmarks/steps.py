"""Seconds by step of the automatic stage, the official one and ours, and the operations that its products need."""

import contextlib
import functools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import Sam
from torch.utils.flop_counter import FlopCounterMode

from sa_pipeline.generation import candidates, generate
from sa_pipeline.sam.inference import encode_prepared, prepare_image
from sa_pipeline.sam.instructions import is_imitated
from sa_pipeline.sam.point_decoding import GuardedDecoder, SharedDecoder, open_decoder
from sa_pipeline.settings import Arithmetic

_BATCH, _REST = "batch", "measure at full size"


def arithmetics_of_this_cpu() -> list[str]:
    """Those that a benchmark compares where none are asked for: without bfloat16 on a CPU that imitates it."""
    names = [Arithmetic.REFERENCE, Arithmetic.FLOAT32, Arithmetic.BFLOAT16]
    return [name.value for name in (names[:2] if is_imitated(torch.bfloat16) else names)]


@contextlib.contextmanager
def timing(sam: Sam, *, official: bool) -> Iterator[Counter[str]]:
    """Within, the wall-clock seconds of each step are added up; what ours does in threads of its own overlaps."""
    spent: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        for step, owner, name in _official_steps(sam) if official else _our_steps():
            stack.enter_context(mock.patch.object(owner, name, _timed(getattr(owner, name), step, spent)))
        yield spent
    if official:
        spent[_REST] = spent.pop(_BATCH, 0.0) - spent["decode"]


def _official_steps(sam: Sam) -> list[tuple[str, Any, str]]:
    return [
        ("encode", sam.image_encoder, "forward"),
        ("decode", sam.mask_decoder, "forward"),
        (_BATCH, SamAutomaticMaskGenerator, "_process_batch"),
    ]


def _our_steps() -> list[tuple[str, Any, str]]:
    return [
        ("encode", candidates, "encode_prepared"),
        ("decode", SharedDecoder, "decode"),
        ("decode", GuardedDecoder, "decode"),
        ("prepare images (beside)", candidates, "prepare_image"),
        ("measure", candidates, "measure_stable_masks"),
        ("deduplicate", generate, "deduplicate_masks"),
    ]


def _timed(function: Callable[..., Any], step: str, spent: Counter[str]) -> Callable[..., Any]:
    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[step] += time.perf_counter() - started

    return timed


def operations(sam: Sam, image: Any, points: Any, arithmetic: Arithmetic) -> dict[str, float]:
    """Floating-point operations of our products: of one image's encoding, and of one point's decoding, all drawn.

    The model's parameters must not require gradients.
    """
    with _counting() as encoding:
        embedding = encode_prepared(sam, [prepare_image(sam, image)], arithmetic)
    with _counting() as decoding:
        open_decoder(sam, embedding, arithmetic).decode(points, image.shape[:2], 0.0)
    return {"encode": encoding.get_total_flops(), "decode": decoding.get_total_flops() / len(points)}


def _counting() -> FlopCounterMode:
    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.baddbmm_: _added_products})


def _added_products(_out: Any, one: Any, other: Any, **_others: Any) -> int:
    """Of `baddbmm_`, which torch does not count; shapes (B, N, K) and (B, K, M)."""
    batch, rows, inner = one
    return int(2 * batch * rows * inner * other[2])


def matrix_speed(dtype: torch.dtype) -> float:
    """Operations a second of a square product on all threads."""
    a = torch.randn(2048, 2048).to(dtype)
    a @ a
    started = time.perf_counter()
    for _ in range(5):
        a @ a
    return 5 * 2 * 2048**3 / (time.perf_counter() - started)
