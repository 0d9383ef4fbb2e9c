"""SAM's prompt encoder and mask decoder as one ONNX graph, so that a browser answers clicks by itself (paper §4).

The graph ends at the low-resolution logits: enlarging them to the picture is a matter of the picture's size, and is
done by whoever runs the graph. It returns all four outputs; which of them is meant is chosen outside.
"""

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn

from sa_pipeline.errors import CheckpointError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

INPUTS = ("image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input")
OUTPUTS = ("low_res_masks", "iou_predictions")
MAX_POINTS = 256
TOLERANCE = 1e-3
"""Largest difference of a logit between the graph and torch, as a share of the largest logit; seen: 1e-6."""

_PADDING = -1
_BOX_CORNERS = (2, 3)


class LowResolutionDecoder(nn.Module):
    """The prompt encoder and the mask decoder of a `Sam`, from one image's embedding and prompt to logits.

    `segment_anything`'s prompt encoder fills its arrays in place by comparing labels, which does not become a graph;
    this one adds the same embeddings weighted by the comparisons.
    """

    def __init__(self, sam: Sam) -> None:
        super().__init__()
        self.prompt_encoder = sam.prompt_encoder
        self.mask_decoder = sam.mask_decoder
        self.image_size = sam.image_encoder.img_size
        self.register_buffer("image_pe", sam.prompt_encoder.get_dense_pe().detach().clone())

    def forward(
        self,
        image_embeddings: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Answers one prompt.

        Args:
            image_embeddings: (1, C, h, w) float32.
            point_coords: (1, N, 2) float32 XY, px of the encoder's input.
            point_labels: (1, N) float32: 1 foreground, 0 background, 2 and 3 the corners of a box, -1 padding, of
                which a prompt without a box has one.
            mask_input: (1, 1, 4h, 4w) float32 logits of an earlier answer; zeros where there is none.
            has_mask_input: (1,) float32, 1 or 0.

        Returns:
            Logits (1, 4, 4h, 4w) and predicted IoU (1, 4): output 0 is for several prompts, 1 to 3 are the subpart,
            part and whole of a single one (paper §3, "Resolving ambiguity").
        """
        sparse = self._embed_points(point_coords, point_labels)
        dense = self._embed_mask(mask_input, has_mask_input)
        masks, scores = self.mask_decoder.predict_masks(
            image_embeddings=image_embeddings,
            image_pe=self.image_pe,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
        )
        return masks, scores

    def _embed_points(self, coordinates: Tensor, labels: Tensor) -> Tensor:
        encoder = self.prompt_encoder
        labels = labels.unsqueeze(-1)
        positions = encoder.pe_layer._pe_encoding((coordinates + 0.5) / self.image_size)
        embedded = positions * (labels != _PADDING) + encoder.not_a_point_embed.weight * (labels == _PADDING)
        for label, embedding in enumerate(encoder.point_embeddings):
            embedded = embedded + embedding.weight * (labels == label)
        return embedded

    def _embed_mask(self, mask: Tensor, has_mask: Tensor) -> Tensor:
        encoder = self.prompt_encoder
        given = has_mask.reshape(-1, 1, 1, 1)
        none = encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        return given * encoder.mask_downscaling(mask) + (1 - given) * none


def export_decoder(sam: Sam) -> bytes:
    """Makes the graph of a model and compares it with the model.

    Args:
        sam: Any model of `segment_anything`'s architecture, on any device.

    Returns:
        The ONNX file. Inputs and outputs are those of `LowResolutionDecoder.forward`, N is free up to `MAX_POINTS`.

    Raises:
        CheckpointError: The graph's logits differ from the model's.
    """
    import onnxruntime

    decoder = LowResolutionDecoder(sam).cpu().eval()
    prompt = _sample_prompt(sam)
    points = torch.export.Dim("points", min=1, max=MAX_POINTS)
    with tempfile.TemporaryDirectory(prefix="sa_pipeline-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "decoder.onnx"
        torch.onnx.export(
            decoder,
            tuple(prompt.values()),
            path,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_shapes={name: {1: points} if name.startswith("point_") else None for name in INPUTS},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        graph = path.read_bytes()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    _compare(decoder, session, prompt)
    return graph


def _sample_prompt(sam: Sam) -> dict[str, Tensor]:
    """A box and a click with an earlier mask, of an embedding drawn by chance: every path of the graph is walked."""
    chance = torch.Generator().manual_seed(0)
    channels = sam.prompt_encoder.embed_dim
    height, width = sam.prompt_encoder.image_embedding_size
    corner = 0.25 * sam.image_encoder.img_size
    return {
        "image_embeddings": torch.randn(1, channels, height, width, generator=chance),
        "point_coords": torch.tensor([[[2 * corner, corner], [corner, corner], [3 * corner, 3 * corner]]]),
        "point_labels": torch.tensor([[1.0, *_BOX_CORNERS]]),
        "mask_input": torch.randn(1, 1, 4 * height, 4 * width, generator=chance),
        "has_mask_input": torch.ones(1),
    }


def _compare(decoder: LowResolutionDecoder, session: "InferenceSession", prompt: dict[str, Tensor]) -> None:
    corner = prompt["point_coords"][:, :1]
    single = prompt | {
        "point_coords": torch.cat([corner, torch.zeros_like(corner)], 1),
        "point_labels": torch.tensor([[0.0, _PADDING]]),
        "has_mask_input": torch.zeros(1),
    }
    for inputs in (prompt, single):
        with torch.no_grad():
            expected = decoder(**inputs)[0].numpy()
        arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
        found = cast(npt.NDArray[np.float32], session.run([OUTPUTS[0]], arrays)[0])
        difference = float(np.abs(found - expected).max() / np.abs(expected).max())
        if not difference <= TOLERANCE:
            raise CheckpointError(
                f"The mask decoder's ONNX graph differs from the model by {difference:.1e} of the largest logit, "
                f"expected at most {TOLERANCE:.0e}; install another version of torch, onnxscript or onnxruntime."
            )
