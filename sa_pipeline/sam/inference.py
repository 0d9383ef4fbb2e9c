"""Calls of a `Sam` model: an image to its embedding, points to theirs, logits to full size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from segment_anything.modeling import ImageEncoderViT, Sam
from segment_anything.utils.transforms import ResizeLongestSide

from sa_pipeline.errors import SettingsError
from sa_pipeline.masks.enlargement import Enlargement
from sa_pipeline.sam.instructions import require_products
from sa_pipeline.sam.tiny import RegionImageEncoder
from sa_pipeline.sam.vit_encoder import encode_with_vit
from sa_pipeline.settings import Arithmetic

FULL_SIZE_PIXELS_AT_ONCE = 16_000_000
"""Full-size logits that exist at one time: 64 MB of float32, whatever the image and the number of masks."""


def compute_dtype(device: torch.device, arithmetic: Arithmetic) -> torch.dtype:
    """The dtype of an arithmetic's products on a model's device.

    Raises:
        SettingsError: The device is a CPU and the arithmetic is float16, or bfloat16 where the CPU imitates it.
    """
    if arithmetic is Arithmetic.FLOAT16 and device.type == "cpu":
        raise SettingsError("arithmetic: float16 needs a GPU; on a CPU choose float32 or bfloat16.")
    dtype: torch.dtype = torch.float32 if arithmetic is Arithmetic.REFERENCE else getattr(torch, arithmetic.value)
    require_products(dtype, device, setting="arithmetic")
    return dtype


@dataclass(frozen=True)
class PreparedImage:
    """An image as the encoder takes it: what can be done before the model's turn, in another thread.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, its longer side as long as the model's input.
        regions: (1, C, S / 16, S / 16) float32 region features, for `tiny` alone.
    """

    pixels: npt.NDArray[np.uint8]
    regions: torch.Tensor | None = None


def prepare_image(sam: Sam, image: npt.NDArray[np.uint8]) -> PreparedImage:
    """Brings an image (H, W, 3) uint8 RGB to the size of the model's input; touches no accelerator."""
    pixels = _transform(sam).apply_image(image)
    encoder = sam.image_encoder
    return PreparedImage(pixels, encoder.prepare(pixels) if isinstance(encoder, RegionImageEncoder) else None)


def encode_image(sam: Sam, image: npt.NDArray[np.uint8], arithmetic: Arithmetic = Arithmetic.REFERENCE) -> torch.Tensor:
    """Runs the image encoder.

    Args:
        sam: The model.
        image: (H, W, 3) uint8 RGB.
        arithmetic: How sums are done.

    Returns:
        (1, C, h, w) float32 on the model's device.

    Raises:
        SettingsError: The model is on a CPU and the arithmetic is float16, or bfloat16 where the CPU imitates it.
    """
    return encode_prepared(sam, [prepare_image(sam, image)], arithmetic)


def encode_prepared(
    sam: Sam, images: Sequence[PreparedImage], arithmetic: Arithmetic = Arithmetic.REFERENCE
) -> torch.Tensor:
    """Runs the image encoder on several images at once.

    Args:
        sam: The model.
        images: B of them, one or more. With several, sums may be in another order than with one.
        arithmetic: How sums are done.

    Returns:
        (B, C, h, w) float32 on the model's device.

    Raises:
        SettingsError: The model is on a CPU and the arithmetic is float16, or bfloat16 where the CPU imitates it.
    """
    dtype = compute_dtype(sam.device, arithmetic)
    encoder = sam.image_encoder
    with torch.no_grad(), torch.autocast(sam.device.type, dtype, enabled=dtype != torch.float32):
        batch = torch.cat([_normalise(sam, image.pixels) for image in images])
        regions = [image.regions for image in images if image.regions is not None]
        if regions:
            embeddings = encoder.embed(torch.cat(regions).to(sam.device))
        elif type(encoder) is ImageEncoderViT:
            embeddings = encode_with_vit(encoder, batch, bit_for_bit=arithmetic is Arithmetic.REFERENCE)
        else:
            embeddings = encoder(batch)
    return embeddings.float()


def _normalise(sam: Sam, pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
    """(h, w, 3) uint8 -> (1, 3, S, S) float32 on the model's device, padded."""
    normalised: torch.Tensor = sam.preprocess(
        torch.as_tensor(pixels, device=sam.device).permute(2, 0, 1).contiguous()[None]
    )
    return normalised


def embed_points(
    sam: Sam, points: npt.NDArray[np.float64], image_size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Runs the prompt encoder on foreground points, each a prompt of its own.

    Args:
        sam: The model.
        points: (N, 2) float64 XY, px of the image.
        image_size: Height and width of the image in px.

    Returns:
        Sparse embeddings (N, 2, C), of the point and of the padding, and dense ones (N, C, h, w), both float32.
    """
    coordinates = torch.as_tensor(_transform(sam).apply_coords(points, image_size), device=sam.device)
    labels = torch.ones(len(points), dtype=torch.int, device=sam.device)
    with torch.no_grad():
        sparse, dense = sam.prompt_encoder(points=(coordinates[:, None, :], labels[:, None]), boxes=None, masks=None)
    return sparse, dense


def decode_clicks(
    sam: Sam,
    embedding: torch.Tensor,
    points: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    image_size: tuple[int, int],
    mask_logits: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Runs prompt encoder and mask decoder on N prompts of K clicks each, perhaps with a mask to correct.

    Args:
        sam: The model.
        embedding: (1, C, h, w) of the image.
        points: (N, K, 2) float64 XY, px of the image.
        labels: (N, K) int64, 1 for foreground and 0 for background.
        image_size: Height and width of the image in px.
        mask_logits: (N, 1, 4h, 4w) float32, what an earlier call returned for the masks.

    Returns:
        Low-resolution logits (N, M, 4h, 4w) float32 and predicted IoU (N, M) float32. One click without a mask is
        ambiguous and gives M = 3 masks, everything else gives one (paper §3, "Resolving ambiguity").
    """
    with torch.no_grad():
        coordinates = torch.as_tensor(_transform(sam).apply_coords(points, image_size), device=sam.device)
        prompt = coordinates, torch.as_tensor(labels, dtype=torch.int, device=sam.device)
        sparse, dense = sam.prompt_encoder(points=prompt, boxes=None, masks=mask_logits)
        logits, predicted_iou = sam.mask_decoder(
            image_embeddings=embedding,
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=points.shape[1] == 1 and mask_logits is None,
        )
    return logits, predicted_iou


def decode_boxes(
    sam: Sam, embedding: torch.Tensor, boxes: npt.NDArray[np.float32], image_size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Runs prompt encoder and mask decoder on N boxes, each a prompt of its own.

    Args:
        sam: The model.
        embedding: (1, C, h, w) of the image.
        boxes: (N, 4) float32 XYXY, px of the image.
        image_size: Height and width of the image in px.

    Returns:
        Low-resolution logits (N, 4h, 4w) float32 and predicted IoU (N,) float32: a box has two corners and is no
        ambiguous prompt, so that it gives one mask (paper §3, "Resolving ambiguity").
    """
    with torch.no_grad():
        corners = torch.as_tensor(_transform(sam).apply_boxes(boxes, image_size), device=sam.device)
        sparse, dense = sam.prompt_encoder(points=None, boxes=corners.float(), masks=None)
        logits, predicted_iou = sam.mask_decoder(
            image_embeddings=embedding,
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
    return logits[:, 0], predicted_iou[:, 0]


def upscale_logits(sam: Sam, logits: torch.Tensor, image_size: tuple[int, int]) -> torch.Tensor:
    """Brings low-resolution logits to the image's size, as `Sam.postprocess_masks` does.

    Args:
        sam: The model.
        logits: (N, h, w) float32.
        image_size: Height and width H, W in px.

    Returns:
        (N, H, W) float32.
    """
    input_size = _transform(sam).get_preprocess_shape(*image_size, sam.image_encoder.img_size)
    # The last bit of torch's interpolation depends on the number of channels. With three, as the official generator
    # has it, masks come out equal to its own however many are brought up at once.
    padding = -len(logits) % 3
    threes = torch.cat([logits, logits.new_zeros(padding, *logits.shape[1:])]).unflatten(0, (-1, 3))
    with torch.no_grad():
        full: torch.Tensor = sam.postprocess_masks(threes, input_size, image_size)
    return full.flatten(0, 1)[: len(logits)]


def enlargement(sam: Sam, logits_size: tuple[int, int], image_size: tuple[int, int]) -> Enlargement:
    """The sizes that `upscale_logits` goes through; all are height before width in px."""
    model_size = sam.image_encoder.img_size
    input_size = _transform(sam).get_preprocess_shape(*image_size, model_size)
    return Enlargement(logits_size, model_size, input_size, image_size)


def _transform(sam: Sam) -> ResizeLongestSide:
    return ResizeLongestSide(sam.image_encoder.img_size)
