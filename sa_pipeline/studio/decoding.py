"""Answers clicks on the server, for browsers that cannot run the mask decoder themselves."""

import base64
import binascii
import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnxruntime

from sa_pipeline.errors import AnnotationError
from sa_pipeline.studio.models import Decode, Decoded, ModelInfo


class ServerDecoder:
    """One checkpoint's mask decoder in ONNX Runtime; may be called from several threads."""

    def __init__(self, graph: bytes, info: ModelInfo, *, threads: int = 1) -> None:
        """Takes the ONNX file and its description; `threads` work on one click."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._info = info

    def decode(self, embedding: npt.NDArray[np.float16], request: Decode) -> Decoded:
        """Answers one prompt.

        Args:
            embedding: (C, h, w) float16 of the picture.
            request: Points, labels, perhaps an earlier answer.

        Returns:
            The four outputs' logits and predicted IoU.

        Raises:
            AnnotationError: Points and labels do not go together, or the earlier answer is not of the right size.
        """
        if len(request.point_coords) != len(request.point_labels):
            raise AnnotationError(
                f"point_labels: expected one for each of the {len(request.point_coords)} point_coords, "
                f"got {len(request.point_labels)}."
            )
        side = self._info.low_res_side
        logits, scores = self._session.run(
            None,
            {
                "image_embeddings": embedding.astype(np.float32)[None],
                "point_coords": np.array([request.point_coords], np.float32),
                "point_labels": np.array([request.point_labels], np.float32),
                "mask_input": _mask_of(request.mask_input, side),
                "has_mask_input": np.array([request.mask_input is not None], np.float32),
            },
        )
        first, second, third, fourth = (float(score) for score in np.asarray(scores)[0])
        little_endian = np.ascontiguousarray(np.asarray(logits)[0], "<f4")
        return Decoded(
            low_res_masks=base64.b64encode(little_endian.tobytes()).decode(),
            iou_predictions=(first, second, third, fourth),
        )


class ServerDecoders:
    """The decoders in use, each made when it is first asked for."""

    def __init__(self, make: Callable[[str], ServerDecoder]) -> None:
        """Takes what makes the decoder of a checkpoint's digest."""
        self._make = make
        self._made: dict[str, ServerDecoder] = {}
        self._lock = threading.Lock()

    def get(self, digest: str) -> ServerDecoder:
        """The decoder of a checkpoint."""
        with self._lock:
            if digest not in self._made:
                self._made[digest] = self._make(digest)
            return self._made[digest]


def _mask_of(text: str | None, side: int) -> npt.NDArray[np.float32]:
    if text is None:
        return np.zeros((1, 1, side, side), np.float32)
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise AnnotationError("mask_input: expected base64.") from None
    if len(content) != 4 * side * side:
        raise AnnotationError(
            f"mask_input: expected {side}x{side} float32, {4 * side * side} bytes, got {len(content)}."
        )
    mask = np.frombuffer(content, "<f4").astype(np.float32)
    if not np.isfinite(mask).all():
        raise AnnotationError("mask_input: expected finite numbers.")
    return mask.reshape(1, 1, side, side)
