"""A logistic regression on features and their squares: small enough to be a few numbers in a text file."""

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from scipy.optimize import minimize
from scipy.special import expit

from sa_pipeline.verifier.features import Features

PENALTY = 1.0
"""Of the squared weights, in units of one example; the usual value for standardised features."""

Wrong = npt.NDArray[np.bool_]
Doubts = npt.NDArray[np.float64]


class Classifier(BaseModel):
    """Says how likely a mask is wrong.

    Attributes:
        mean: Of each feature among the examples.
        scale: Standard deviation of each; 1 for one that is always the same.
        weights: Of the standardised features, then of their squares less 1.
        bias: Of all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float

    def doubts(self, features: Features) -> Doubts:
        """Probability that a mask is wrong: (N, F) features to (N,) float64 from 0 to 1."""
        inputs = _inputs(features, np.array(self.mean), np.array(self.scale))
        return np.asarray(expit(inputs @ np.array(self.weights) + self.bias), np.float64)


def fit(features: Features, wrong: Wrong) -> Classifier:
    """Fits by L-BFGS; the same examples give the same numbers.

    Args:
        features: (N, F).
        wrong: (N,) bool.
    """
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    inputs = _inputs(features, mean, scale)
    signs = np.where(wrong, 1.0, -1.0)

    def loss(parameters: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weights, bias = parameters[:-1], parameters[-1]
        margins = signs * (inputs @ weights + bias)
        pulls = -signs * expit(-margins)
        value = np.logaddexp(0.0, -margins).sum() + PENALTY / 2 * weights @ weights
        return float(value), np.append(inputs.T @ pulls + PENALTY * weights, pulls.sum())

    found = minimize(loss, np.zeros(inputs.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return Classifier(
        mean=tuple(mean.tolist()),
        scale=tuple(scale.tolist()),
        weights=tuple(found[:-1].tolist()),
        bias=float(found[-1]),
    )


def _inputs(features: Features, mean: Features, scale: Features) -> Features:
    # Far outliers would rule the squares.
    standard = np.clip((features - mean) / scale, -4.0, 4.0)
    return np.concatenate([standard, standard**2 - 1.0], axis=1)
