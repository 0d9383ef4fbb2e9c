"""The scores that are usual in a dataset: a reference made once from its first shards, for later ones to be held to.

Each shard's distributions are kept in `score_distributions/{making}/{shard}.json`, where `making` stands for the
weights and the settings that made the candidates. As soon as enough *other* shards of a making have theirs, the first
of them in the order of shards become its `reference.json`. It is never changed after that, so that slow drift does not
carry the reference along; delete the file, and the next check makes it anew from the shards that are there then. Other
weights or settings are another making with a reference of its own; new thresholds above the floors are not.
"""

import hashlib
import json

from pydantic import BaseModel, ConfigDict, ValidationError

from sa_pipeline.artifacts import ArtifactHeader, AssetName, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError, describe_validation_error
from sa_pipeline.quality.distribution import ScoreDistribution
from sa_pipeline.storage import Storage

FOLDER = "score_distributions"
REFERENCE_FILE = "reference.json"


class CandidateScores(BaseModel):
    """Distributions of the candidates of one or several shards.

    `shards` maps each shard to the content digest of the `candidate_masks` that were counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shards: dict[str, str]
    predicted_iou: ScoreDistribution
    stability_score: ScoreDistribution

    def dump(self) -> bytes:
        """Serialises to JSON; equal scores give equal bytes."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()


def read_candidate_scores(dataset: Dataset, header: ArtifactHeader) -> CandidateScores:
    """Counts a shard's scores and keeps the distributions for the reference.

    Args:
        dataset: The dataset.
        header: Of the shard's `candidate_masks`.

    Raises:
        ArtifactError: `candidate_masks` is damaged.
        StorageError: The distributions cannot be written.
    """
    columns = ["predicted_iou", "stability_score"]
    rows = read_table(dataset.storage, AssetName.CANDIDATE_MASKS, header.partition, columns=columns)
    scores = CandidateScores(
        shards={header.partition: header.content_digest},
        predicted_iou=ScoreDistribution.of(rows["predicted_iou"].to_numpy()),
        stability_score=ScoreDistribution.of(rows["stability_score"].to_numpy()),
    )
    dataset.storage.write_bytes(f"{_folder(header)}/{header.partition}.json", scores.dump())
    return scores


def reference_scores(dataset: Dataset, header: ArtifactHeader) -> CandidateScores | None:
    """The reference for a shard; made now if there is none yet and enough other shards have been counted.

    Args:
        dataset: With `reference_shards` and `min_compared_candidates` among its quality settings.
        header: Of the shard's `candidate_masks`.

    Returns:
        None while too few other shards, or too few candidates, are there.

    Raises:
        ArtifactError: The reference or a distribution that it is made from is damaged.
        StorageError: The reference cannot be written.
    """
    storage, name = dataset.storage, f"{_folder(header)}/{REFERENCE_FILE}"
    if storage.exists(name):
        return _read(storage, name)
    left_out = {name, f"{_folder(header)}/{header.partition}.json"}
    others = [other for other in storage.list(_folder(header), ".json") if other not in left_out]
    chosen = [_read(storage, other) for other in others[: dataset.settings.quality.reference_shards]]
    if len(chosen) < dataset.settings.quality.reference_shards:
        return None
    reference = CandidateScores(
        shards={shard: digest for scores in chosen for shard, digest in scores.shards.items()},
        predicted_iou=ScoreDistribution.sum_of(scores.predicted_iou for scores in chosen),
        stability_score=ScoreDistribution.sum_of(scores.stability_score for scores in chosen),
    )
    if reference.predicted_iou.total < dataset.settings.quality.min_compared_candidates:
        return None
    # Two shards checked at once may each have made one; the first stays.
    return reference if storage.create_bytes(name, reference.dump()) else _read(storage, name)


def reference_url(dataset: Dataset, header: ArtifactHeader) -> str:
    """Where the reference for a shard lies or will lie."""
    return dataset.storage.url_of(f"{_folder(header)}/{REFERENCE_FILE}")


def _folder(header: ArtifactHeader) -> str:
    making = {
        "checkpoint": header.checkpoint.digest if header.checkpoint else None,
        "settings": header.settings,
        "schema_version": header.schema_version,
    }
    digest = hashlib.sha256(json.dumps(making, sort_keys=True).encode()).hexdigest()
    return f"{FOLDER}/{digest[:16]}"


def _read(storage: Storage, name: str) -> CandidateScores:
    try:
        return CandidateScores.model_validate_json(storage.read_bytes(name))
    except ValidationError as error:
        found = describe_validation_error(error, name=storage.url_of(name))
        raise ArtifactError(f"{found} Delete the file; the next check makes it anew.") from None
