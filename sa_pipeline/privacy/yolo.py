"""Faces or licence plates by a YOLO network of yours, in an ONNX file."""

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from sa_pipeline.errors import SettingsError
from sa_pipeline.privacy.detection import Detection, Kind
from sa_pipeline.privacy.sessions import open_session
from sa_pipeline.privacy.views import find_in_views

if TYPE_CHECKING:
    import onnxruntime

DEFAULT_SIDE = 640
"""px, of the input where the file leaves its size open."""

_GREY = 114
"""What Ultralytics and others fill up the input with."""
_END_TO_END_COLUMNS, _SUPPRESSED_COLUMNS, _BOX_ROWS = 7, 6, 4


class YoloFile:
    """A YOLO network with the input (1, 3, S, S), RGB from 0 to 1; its classes all count as the one kind.

    Three forms of output are understood (docs/de-identification.md): (N, 7), (1, N, 6) and (1, 4 + classes, N).
    """

    def __init__(self, path: Path, kind: Kind, min_score: float) -> None:
        """Takes the file; the network is loaded when it is first needed.

        Raises:
            SettingsError: The file is not there.
        """
        if not path.is_file():
            raise SettingsError(f"deidentification: {path} does not exist; give the path of a YOLO network as ONNX.")
        self.name = path.stem
        self.digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self._path, self._kind, self._min_score = path, kind, min_score

    @functools.cached_property
    def _session(self) -> "onnxruntime.InferenceSession":
        try:
            session = open_session(str(self._path))
        except Exception as error:  # onnxruntime has an exception of its own for every kind of damage
            raise SettingsError(f"deidentification: {self._path} is not a network in ONNX ({error}).") from error
        shapes = [value.shape for value in session.get_inputs()]
        if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] != 3 or shapes[0][2] != shapes[0][3]:
            raise SettingsError(
                f"deidentification: {self._path} takes {shapes}; expected one input (1, 3, S, S), as YOLO has."
            )
        return session

    @property
    def _side(self) -> int:
        side = self._session.get_inputs()[0].shape[2]
        return side if isinstance(side, int) else DEFAULT_SIDE

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Detection]:
        """As `Detector.detect`."""
        boxes = find_in_views(image, self._find, self._side, finest=1.0)
        return [Detection(self._kind, float(score), (x, y, w, h)) for x, y, w, h, score in boxes.tolist()]

    def _find(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        height, width = pixels.shape[:2]
        filled = cv2.copyMakeBorder(
            pixels, 0, self._side - height, 0, self._side - width, cv2.BORDER_CONSTANT, value=(_GREY,) * 3
        )
        blob = filled.transpose(2, 0, 1)[None].astype(np.float32) / 255
        output = self._session.run(None, {self._session.get_inputs()[0].name: blob})[0]
        try:
            boxes = decode(output)
        except ValueError as error:
            raise SettingsError(f"deidentification: {self._path} {error}") from error
        return boxes[boxes[:, 4] >= self._min_score]


def decode(output: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Boxes from a YOLO network's first output.

    Args:
        output: One of
            (N, 7): image, X0, Y0, X1, Y1, class, score, as end-to-end exports of YOLOv7 and YOLOv9 give;
            (1, N, 6): X0, Y0, X1, Y1, score, class, as YOLOv10 and exports with nms=True give;
            (1, 4 + classes, N): centre X, centre Y, width, height and a score for each class, as YOLOv8 and later do.

    Returns:
        (N, 5) float32, XYWH in px of the input, and score.

    Raises:
        ValueError: It is none of these.
    """
    if output.ndim == 2 and output.shape[1] == _END_TO_END_COLUMNS:
        corners, scores = output[:, 1:5], output[:, 6]
    elif output.ndim == 3 and output.shape[2] == _SUPPRESSED_COLUMNS:
        corners, scores = output[0, :, :4], output[0, :, 4]
    elif output.ndim == 3 and output.shape[1] > _BOX_ROWS:
        center, size = output[0, :2].T, output[0, 2:4].T
        corners, scores = np.concatenate((center - size / 2, center + size / 2), axis=1), output[0, 4:].max(axis=0)
    else:
        raise ValueError(f"gives {output.shape}; expected (N, 7), (1, N, 6) or (1, 4 + classes, N).")
    return np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2], scores[:, None]), axis=1).astype(np.float32)
