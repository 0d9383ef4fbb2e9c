"""The classifier finds what it was shown, and its value is measured on images that it did not see."""

import numpy as np
import pytest

from sa_pipeline.masks.rle import mask_to_counts
from sa_pipeline.verifier.classifier import fit
from sa_pipeline.verifier.features import FEATURES, mask_features
from sa_pipeline.verifier.value import LOOKED_AT, found_by, measure_value


def row(mask: np.ndarray, predicted_iou: float = 0.9, stability_score: float = 0.95) -> dict:
    return {
        "predicted_iou": predicted_iou,
        "stability_score": stability_score,
        "area": int(mask.sum()),
        "size": list(mask.shape),
        "counts": mask_to_counts(mask),
    }


def features_of(mask: np.ndarray) -> dict[str, float]:
    return dict(zip(FEATURES, mask_features([row(mask)])[0].tolist(), strict=True))


def test_features_are_those_of_the_shape() -> None:
    square = np.zeros((100, 200), bool)
    square[0:20, 50:90] = True
    found = features_of(square)
    assert found["relative_size"] == pytest.approx(np.sqrt(800 / 20_000))
    assert (found["concavity"], found["box_fill"], found["islands"], found["edges"]) == (0.0, 1.0, 0.0, 1.0)
    assert found["elongation"] == pytest.approx(np.log(2))
    two = square.copy()
    two[60:80, 50:90] = True
    assert features_of(two)["islands"] == pytest.approx(np.log(2))
    comb = square.copy()
    comb[5:20, 50:90:2] = False
    assert features_of(comb)["raggedness"] > found["raggedness"] + 0.5
    assert features_of(comb)["concavity"] > 0.3
    assert np.isfinite(mask_features([row(np.eye(1, dtype=bool))])).all()


def test_it_learns_a_bend_that_one_line_cannot_follow_and_says_probabilities() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(4000, len(FEATURES)))
    chance = 1 / (1 + np.exp(-(2 * features[:, 0] ** 2 - 3)))
    wrong = random.random(4000) < chance
    doubts = fit(features[:2000], wrong[:2000]).doubts(features[2000:])
    assert np.abs(doubts - chance[2000:]).mean() < 0.05
    assert fit(features, wrong) == fit(features, wrong)


def test_the_value_of_an_order_without_sense_is_that_of_chance() -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(3000, len(FEATURES)))
    images = [str(index // 10) for index in range(3000)]
    blind = measure_value(features, random.random(3000) < 0.3, images)
    assert blind.verifier[0.2] == pytest.approx(blind.by_chance, abs=0.06)
    seen = measure_value(features, features[:, 3] > 0.8, images)
    assert seen.verifier[0.1] > 0.95
    assert seen.verifier[1.0] == seen.by_chance
    assert (seen.masks, seen.images) == (3000, 300)


def test_the_first_ones_looked_at_are_counted() -> None:
    wrong = np.array([True] * 2 + [False] * 18)
    assert found_by(-np.arange(20.0), wrong) == {
        share: 2 / max(2, round(20 * share)) if share > 0.05 else 1.0 for share in LOOKED_AT
    }
