"""Faster R-CNN (Ren et al. 2015) with the one class 'object', on a backbone of one's choice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import _mobilenet_extractor, _resnet_fpn_extractor
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from sa_pipeline.detection.pyramid import SmallPyramid
from sa_pipeline.errors import CheckpointError
from sa_pipeline.sam.state import first_line, read_state
from sa_pipeline.settings import DetectorSettings

CLASSES = 2
"""Background and object."""

OBJECT = 1
"""Label of an object."""

ANCHORS_PER_OCTAVE = (1.0, 2**0.5)
ASPECT_RATIOS = (0.5, 1.0, 2.0)
"""Height over width of anchors."""

ANCHOR_STRIDES = 3.0
"""Side of a level's smaller anchors in strides of the level."""

COARSEST_STRIDE = 64
"""px of the input, of each backbone's last level."""

ROI_SIDE = 5
HEAD_WIDTH = 256
"""A fifth of torchvision's: one class needs less than ninety, and on a CPU the head would take most of a step."""

PROPOSALS = 300
SAMPLED_PROPOSALS = 128
"""Of one image in a step, from which the second stage learns."""

SIZE_STEP = 16
"""px between the input sizes among which jitter chooses."""

MOBILENET_LEVELS = (2, 3, 5)
"""At stride 8, 16 and 32; the pyramid adds one at 64."""

MOBILENET_LAYERS, RESNET_LAYERS = 6, 5
"""Parts of a backbone that can be trained: all of them."""


def build_detector(settings: DetectorSettings) -> FasterRCNN:
    """Builds a detector with first weights: the backbone's of a file if the settings name one, else of chance.

    Raises:
        CheckpointError: The file with the backbone's weights is missing or does not fit.
    """
    given = settings.backbone_weights
    if given is None:
        return assemble_detector(settings, frozen_norms=False)
    # Statistics that came with the weights are kept; there are too few images in a step to find others.
    return assemble_detector(settings, frozen_norms=True, backbone_weights=Path(given).expanduser())


def assemble_detector(
    settings: DetectorSettings, *, frozen_norms: bool, backbone_weights: Path | None = None
) -> FasterRCNN:
    """Builds a detector in evaluation mode, with weights that the settings' seed fixes.

    It takes images (3, H, W) float32 of 0 to 1 and gives boxes XYXY in px between pixels, best first, with scores.

    Args:
        settings: Backbone, sizes, limits, seed.
        frozen_norms: Whether a backbone of torchvision has batch normalisation with fixed statistics, as weights from
            elsewhere ask for; otherwise it has group normalisation.
        backbone_weights: File with the backbone's weights.

    Raises:
        CheckpointError: That file is missing or does not fit.
    """
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        backbone, levels = _backbone(settings, frozen_norms, backbone_weights)
        detector = FasterRCNN(
            backbone,
            rpn_anchor_generator=_anchors(levels),
            box_roi_pool=MultiScaleRoIAlign([str(level) for level in range(min(levels, 4))], ROI_SIDE, 2),
            box_head=TwoMLPHead(backbone.out_channels * ROI_SIDE**2, HEAD_WIDTH),
            box_predictor=FastRCNNPredictor(HEAD_WIDTH, CLASSES),
            min_size=_input_sizes(settings),
            max_size=settings.max_input_size,
            rpn_pre_nms_top_n_train=2 * PROPOSALS,
            rpn_post_nms_top_n_train=PROPOSALS,
            rpn_pre_nms_top_n_test=2 * PROPOSALS,
            rpn_post_nms_top_n_test=max(PROPOSALS, settings.max_boxes),
            box_batch_size_per_image=SAMPLED_PROPOSALS,
            # Recall is what counts: SAM and its scores judge after it.
            box_score_thresh=0.0,
            box_nms_thresh=settings.box_nms_thresh,
            box_detections_per_img=settings.max_boxes,
        )
    return detector.eval()


def _input_sizes(settings: DetectorSettings) -> tuple[int, ...]:
    """Shorter sides that training chooses among; the last one, which torchvision takes otherwise, is the setting."""
    low, high = (round(factor * settings.input_size) for factor in settings.jitter)
    return (*range(low, high + 1, SIZE_STEP), settings.input_size)


def _anchors(levels: int) -> AnchorGenerator:
    strides = [COARSEST_STRIDE / 2**level for level in reversed(range(levels))]
    sizes = tuple(tuple(ANCHOR_STRIDES * stride * part for part in ANCHORS_PER_OCTAVE) for stride in strides)
    return AnchorGenerator(sizes, (ASPECT_RATIOS,) * levels)


def _backbone(settings: DetectorSettings, frozen_norms: bool, weights: Path | None) -> tuple[Any, int]:
    """The backbone, with its `out_channels`, and the number of its levels."""
    if settings.backbone == "small":
        return SmallPyramid(), 4
    norm: Callable[[int], nn.Module] = FrozenBatchNorm2d if frozen_norms else _group_norm
    make = getattr(torchvision.models, settings.backbone)
    network = make(weights=None, norm_layer=norm)
    if weights is not None:
        _load(network, weights)
    if settings.backbone == "resnet50":
        return _resnet_fpn_extractor(network, RESNET_LAYERS), 5
    return _mobilenet_extractor(network, True, MOBILENET_LAYERS, returned_layers=list(MOBILENET_LEVELS)), 4


def _group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(channels // 8, channels)


def _load(network: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(f"detector.backbone_weights: {path} is no file; expected torchvision's weights.")
    try:
        network.load_state_dict(read_state(path))
    except RuntimeError as error:  # a tensor is missing, one too many, or of another shape
        raise CheckpointError(f"detector.backbone_weights: {path} does not fit: {first_line(error)}") from error
