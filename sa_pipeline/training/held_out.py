"""Images that are kept from all training, so that checkpoints can be compared on them."""

_DIGITS = 16
"""Of the digest; as a number they are as good as drawn by chance."""


def is_held_out(sha256: str, share: float) -> bool:
    """Whether an image is held out: the same answer in every round, for SAM and for the detector.

    A larger share holds out more images, and those of a smaller share among them.

    Args:
        sha256: Of the image's source file, 64 hexadecimal digits, as `raw_images` has it.
        share: Of all images, from 0 for none to below 1.
    """
    return int(sha256[:_DIGITS], 16) < share * 16**_DIGITS
