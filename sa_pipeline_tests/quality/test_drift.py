"""Scores are held to those of earlier shards: drift is a warning, nonsense an error."""

import numpy as np
import pytest

from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.quality.drift import scores_like_reference
from sa_pipeline.quality.outcome import CheckOutcome
from sa_pipeline.settings import PipelineSettings, QualitySettings
from sa_pipeline_tests.quality.samples import write_candidates


@pytest.fixture
def held(tmp_path) -> Dataset:
    quality = QualitySettings(reference_shards=2, min_compared_candidates=100)
    return open_dataset(tmp_path, DatasetConfig(settings=PipelineSettings(quality=quality)))


def check(dataset: Dataset, shard: str, mean: float, *, count: int = 500, digest: str = "weights") -> CheckOutcome:
    scores = np.random.default_rng(int(shard)).normal(mean, 0.05, count).astype(np.float32)
    write_candidates(dataset, shard, scores, digest)
    return scores_like_reference(dataset, shard)


def references(dataset: Dataset) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in dataset.home.glob("score_distributions/*/reference.json")}


def test_the_first_shards_make_the_reference_and_later_ones_are_held_to_it(held) -> None:
    for shard in ("000000", "000001"):
        assert check(held, shard, 0.8).passed
    assert not references(held)
    alike = check(held, "000002", 0.8)
    assert alike.passed
    assert dict(alike.values)["reference shards"] == "000000, 000001"
    drifted = check(held, "000003", 0.82)
    assert (drifted.passed, drifted.severity) == (False, "warning")
    nonsense = check(held, "000004", 0.3)
    assert (nonsense.passed, nonsense.severity) == (False, "error")


def test_the_reference_stays_however_many_shards_follow(held) -> None:
    for shard in ("000000", "000001", "000002"):
        check(held, shard, 0.8)
    before = references(held)
    for shard in ("000000", "000003", "000004"):
        check(held, shard, 0.7)
    assert len(before) == 1
    assert references(held) == before


def test_other_weights_have_a_reference_of_their_own(held) -> None:
    for shard in ("000000", "000001", "000002"):
        check(held, shard, 0.8)
    assert check(held, "000003", 0.5, digest="other weights").passed
    assert len(references(held)) == 1


def test_a_shard_of_few_candidates_is_not_compared(held) -> None:
    for shard in ("000000", "000001", "000002"):
        check(held, shard, 0.8)
    few = check(held, "000003", 0.3, count=99)
    assert few.passed
    assert "too few to compare" in few.summary


def test_a_damaged_reference_is_named_with_what_to_do(held) -> None:
    for shard in ("000000", "000001", "000002"):
        check(held, shard, 0.8)
    (path,) = held.home.glob("score_distributions/*/reference.json")
    path.write_text("{}")
    with pytest.raises(ArtifactError, match=r"reference\.json.*Delete the file"):
        check(held, "000003", 0.8)
