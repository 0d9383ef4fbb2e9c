"""The verifier as a file: what it learnt, from what, and what it is worth."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError, describe_validation_error
from sa_pipeline.progress import Progress
from sa_pipeline.storage import Storage
from sa_pipeline.verifier.classifier import Classifier, Doubts, fit
from sa_pipeline.verifier.examples import collect_examples, readable_rounds
from sa_pipeline.verifier.features import FEATURES, mask_features
from sa_pipeline.verifier.value import Value, measure_value

VERIFIER_FILE = "mask_verifier/verifier.json"
"""Within the storage root."""


class Verifier(BaseModel):
    """What `mask_verifier/verifier.json` holds.

    Attributes:
        features: Names, in their order.
        rounds: Whose masks it learnt from.
        wrong_below: IoU with the person's mask below which a mended mask counted as wrong.
        classifier: Of all examples.
        value: Of classifiers that did not see the images they are measured on.
        inputs: Digest of the snapshots that it learnt from, of the settings and of the features.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[str, ...]
    rounds: tuple[str, ...]
    wrong_below: float
    classifier: Classifier
    value: Value
    inputs: str

    def doubts(self, rows: Sequence[Mapping[str, Any]]) -> Doubts:
        """Probability that masks are wrong: (N,) float64, of N rows with `features.COLUMNS`."""
        return self.classifier.doubts(mask_features(rows))


def make_verifier(dataset: Dataset, progress: Progress | None = None) -> Verifier | None:
    """Learns from all rounds and writes the verifier, unless it has learnt from the same snapshots already.

    Returns:
        None, and nothing is written, where there is too little to learn from.

    Raises:
        ArtifactError: A file that it learns from is damaged.
        StorageError: It cannot be written.
    """
    inputs = _inputs(dataset)
    known = read_verifier(dataset.storage)
    if known is not None and known.inputs == inputs:
        return known
    examples = collect_examples(dataset, progress)
    wrong, least = int(examples.wrong.sum()), dataset.settings.audit.min_verifier_examples
    if min(wrong, len(examples.wrong) - wrong) < least:
        return None
    made = Verifier(
        features=FEATURES,
        rounds=examples.rounds,
        wrong_below=dataset.settings.audit.wrong_below,
        classifier=fit(examples.features, examples.wrong),
        value=measure_value(examples.features, examples.wrong, examples.images),
        inputs=inputs,
    )
    dataset.storage.write_bytes(VERIFIER_FILE, made.model_dump_json(indent=1).encode())
    return made


def read_verifier(storage: Storage) -> Verifier | None:
    """Reads the verifier; None where there is none, or one of other features, which is to be made anew.

    Raises:
        ArtifactError: The file is damaged.
    """
    if not storage.exists(VERIFIER_FILE):
        return None
    try:
        found = Verifier.model_validate_json(storage.read_bytes(VERIFIER_FILE))
    except ValidationError as error:
        told = describe_validation_error(error, name=storage.url_of(VERIFIER_FILE))
        raise ArtifactError(f"{told} Delete it and materialize mask_verifier again.") from None
    return found if found.features == FEATURES else None


def _inputs(dataset: Dataset) -> str:
    settings = dataset.settings.audit
    parts = [f"{FEATURES} {settings.wrong_below} {settings.min_verifier_examples}"]
    parts += readable_rounds(dataset).values()
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
