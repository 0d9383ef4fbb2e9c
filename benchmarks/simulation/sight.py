"""A picture as the studio's page holds it: its pixels, its embedding, and the mask decoder, which answers clicks."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from sa_pipeline.evaluation.clicks import Click
from sa_pipeline.studio.models import ModelInfo

_SURE = 10.0
"""Logits of a mask that SAM did not make, as the page gives them back."""


@dataclass(frozen=True)
class Answer:
    """What the decoder says to clicks: logits (4, s, s) float32 and predicted IoU (4,) float32."""

    logits: npt.NDArray[np.float32]
    predicted_iou: npt.NDArray[np.float32]


class Decoder:
    """A checkpoint's mask decoder, the graph that the browser runs."""

    def __init__(self, graph: bytes, info: ModelInfo) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.info = info


class Sight:
    """One picture with its embedding (C, h, w) float16; `size` is height and width in px."""

    def __init__(self, decoder: Decoder, embedding: bytes, size: tuple[int, int]) -> None:
        shape = decoder.info.embedding_shape
        self._decoder = decoder
        self._embedding = np.frombuffer(embedding, "<f2").reshape(shape).astype(np.float32)[None]
        self.size = size
        self._scale = decoder.info.image_size / max(size)

    def ask(self, clicks: Sequence[Click], logits: npt.NDArray[np.float32] | None) -> Answer:
        """Asks with all clicks so far and the logits (s, s) of the mask that they shall mend, if there is one."""
        side = self._decoder.info.low_res_side
        points = [(click.x * self._scale, click.y * self._scale) for click in clicks]
        masks, scores = self._decoder.session.run(
            None,
            {
                "image_embeddings": self._embedding,
                "point_coords": np.array([[*points, (0.0, 0.0)]], np.float32),
                "point_labels": np.array([[*(float(click.foreground) for click in clicks), -1.0]], np.float32),
                "mask_input": np.zeros((1, 1, side, side), np.float32) if logits is None else logits[None, None],
                "has_mask_input": np.array([logits is not None], np.float32),
            },
        )
        return Answer(np.asarray(masks)[0], np.asarray(scores)[0])

    def enlarge(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """The mask (H, W) of logits (s, s)."""
        info, (height, width) = self._decoder.info, self.size
        square = cv2.resize(logits, (info.image_size, info.image_size), interpolation=cv2.INTER_LINEAR)
        rows, columns = self._covered(info.image_size)
        full = cv2.resize(square[:rows, :columns], (width, height), interpolation=cv2.INTER_LINEAR)
        return full > info.mask_threshold

    def seed(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """Logits (s, s) for a mask (H, W) that SAM did not make."""
        side = self._decoder.info.low_res_side
        rows, columns = self._covered(side)
        small = np.zeros((side, side), np.float32)
        small[:rows, :columns] = cv2.resize(mask.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
        return np.where(small >= 0.5, _SURE, -_SURE).astype(np.float32)

    def _covered(self, side: int) -> tuple[int, int]:
        """Rows and columns of a square of that side which the picture covers."""
        height, width = (int(length * side / max(self.size) + 0.5) for length in self.size)
        return max(height, 1), max(width, 1)
