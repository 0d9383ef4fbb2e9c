"""Samples whose image embedding is known: what a decoder is trained on while its encoder stays as it is."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from segment_anything.modeling import Sam

from sa_pipeline.errors import AnnotationError
from sa_pipeline.training.samples import Prepared, SampleSource, prepare_sample

ATTEMPTS = 20


@dataclass(frozen=True)
class EmbeddedSamples:
    """A fixed number of samples, each encoded at its first use and then kept in a file.

    Attributes:
        folder: Of the files. They are named after the encoder's weights: another encoder finds none of them.
        source: Where the samples come from.
        count: How many.
        augment: Whether they are cropped, mirrored and brightened at random.
        jitter: Range of their large-scale jitter; None for none.
    """

    folder: Path
    source: SampleSource
    count: int
    augment: bool = True
    jitter: tuple[float, float] | None = None

    def draw(self, sam: Sam, size: int, seed: int, steps: range, images: int, own: slice) -> Iterator[list[Prepared]]:
        """Samples of each step, drawn at random.

        Args:
            sam: Its encoder must not change until the last sample is drawn.
            size: Side of the model's input in px.
            seed: Together with the step it fixes what is drawn.
            steps: Their numbers.
            images: Samples a step, of all processes together.
            own: Which of them are this process's.

        Raises:
            SaPipelineError: An image cannot be read, or the source has hardly one with a mask.
        """
        digest = encoder_digest(sam)
        for step in steps:
            numbers = np.random.default_rng((seed, step, 6)).integers(self.count, size=images)
            yield [self._sample(sam, size, seed, int(number), digest) for number in numbers[own]]

    def _sample(self, sam: Sam, size: int, seed: int, number: int, digest: str) -> Prepared:
        path = self.folder / f"{digest}_{size}_{seed}_{number:05d}.npz"
        if not path.exists():
            prepared = self._prepared(size, seed, number)
            with torch.no_grad():
                embedding = sam.image_encoder(prepared.image[None].to(sam.device))[0].cpu()
            self.folder.mkdir(parents=True, exist_ok=True)
            # Another process may be at the same sample.
            aside = path.with_name(f".{path.stem}.{os.getpid()}.npz")
            np.savez_compressed(
                aside,
                embedding=embedding.half().numpy(),
                masks=np.packbits(prepared.masks.numpy(), axis=-1),
                low_masks=np.packbits(prepared.low_masks.bool().numpy(), axis=-1),
                weights=prepared.weights.numpy(),
            )
            aside.replace(path)
        with np.load(path) as kept:
            return Prepared(
                torch.zeros(3, 0, 0),
                torch.from_numpy(_unpacked(kept["masks"])),
                torch.from_numpy(_unpacked(kept["low_masks"]).astype(np.float32)),
                torch.from_numpy(kept["weights"]),
                torch.from_numpy(kept["embedding"]).float(),
            )

    def _prepared(self, size: int, seed: int, number: int) -> Prepared:
        for attempt in range(ATTEMPTS):
            chance = (seed, number, attempt, 7)
            rng = np.random.default_rng((*chance, 4))
            prepared = prepare_sample(self.source.sample(chance), size, rng, self.augment, self.jitter)
            if prepared is not None:
                return prepared
        raise AnnotationError(f"{ATTEMPTS} images drawn at random had no mask large enough to train on.")


def encoder_digest(sam: Sam) -> str:
    """Of the image encoder's weights, 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, value in sorted(sam.image_encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.cpu().numpy().tobytes())
    return digest.hexdigest()[:12]


def _unpacked(packed: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return np.unpackbits(packed, axis=-1).view(np.bool_)
