"""Held-out images: about as many as asked for, and the same ones always."""

import hashlib

import pytest

from sa_pipeline.training.held_out import is_held_out

DIGESTS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(4000)]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_about_the_share_is_held_out(share: float) -> None:
    assert sum(is_held_out(digest, share) for digest in DIGESTS) / len(DIGESTS) == pytest.approx(share, abs=0.03)


def test_no_share_holds_nothing_out_and_a_larger_one_keeps_what_the_smaller_held_out() -> None:
    assert not any(is_held_out(digest, 0.0) for digest in DIGESTS)
    assert all(is_held_out(digest, 0.2) for digest in DIGESTS if is_held_out(digest, 0.1))
    assert is_held_out("0" * 64, 0.1)
    assert not is_held_out("f" * 64, 0.99)
