"""The order in which torch puts equal scores, which depends on the CPU's vector units."""

import numpy as np
import numpy.typing as npt


def sort_as_torch(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """(K,) float32 -> (K,) int64, indices from the highest to the lowest as `torch.sort` gives them on this CPU."""
    import torch

    return np.asarray(torch.from_numpy(scores).sort(descending=True).indices.numpy())
