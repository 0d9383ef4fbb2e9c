"""Which of the masks that SAM gives for a detector's boxes are worth showing to people: by threshold, in Markdown.

    python benchmarks/prefilled.py --home turn/home --detector assisted-3 --source IMAGES --references MASKS --skip 165

Asks with all boxes of the detector of a round on photographs that people segmented, takes no duplicates out, and holds
each mask against the segment that it fits best. docs/semi-automatic.md has figures.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from sa_pipeline.annotated.image import AnnotatedImage
from sa_pipeline.annotated.opening import open_annotated
from sa_pipeline.dataset import open_dataset
from sa_pipeline.detection.boxes import to_pixels
from sa_pipeline.detection.detect import detect
from sa_pipeline.detection.record import read_detector_record
from sa_pipeline.generation.box_masks import masks_of_boxes
from sa_pipeline.promotion import checkpoint_in_use
from sa_pipeline.sam.inference import encode_image
from sa_pipeline.sam.registry import load_model
from sa_pipeline.settings import PrefillSettings
from sa_pipeline.stages.object_detector import read_trained

EVERYTHING = PrefillSettings(min_box_score=0.0, pred_iou_thresh=0.0, stability_score_thresh=0.0)
SCORES = ("box score", "predicted IoU", "stability")
THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="of the dataset")
    parser.add_argument("--detector", required=True, help="round that it was trained after")
    parser.add_argument("--source", type=Path, required=True, help="annotated images")
    parser.add_argument("--references", type=Path, help="their masks, where they lie elsewhere")
    parser.add_argument("--skip", type=int, default=0, help="images at the beginning, as those the detector knows")
    parser.add_argument("--images", type=int, default=14, help="how many")
    parser.add_argument("--checkpoint", help="other weights than those in use")
    given = parser.parse_args()
    dataset = open_dataset(given.home)
    record = read_detector_record(dataset.storage, given.detector)
    if record is None:
        parser.error(f"no detector was trained after {given.detector}")
    detector = read_trained(dataset, record)
    sam = load_model(given.checkpoint or checkpoint_in_use(dataset)).sam
    masks = dataset.settings.masks.model_copy(update={"box_nms_thresh": 1.0, "mask_nms_thresh": None})
    source = open_annotated(given.source, given.references)
    scores, ious = [], []
    for index in range(given.skip, given.skip + given.images):
        image = source.read(index)
        found = detect(detector, image.pixels)
        embedding = encode_image(sam, image.pixels)
        made = masks_of_boxes(sam, embedding, to_pixels(found.boxes), found.scores, image.size, EVERYTHING, masks)
        scores.append(np.stack([made.box_scores, made.predicted_ious, made.stability_scores], axis=1))
        ious.append(_best_ious(made.counts, image))
    print(_table(np.concatenate(scores), np.concatenate(ious), given.images))


def _best_ious(counts: list[str], image: AnnotatedImage) -> npt.NDArray[np.float64]:
    def run_lengths(each: str) -> dict[str, object]:
        return {"size": list(image.size), "counts": each.encode()}

    segments = [run_lengths(each) for each in itertools.chain.from_iterable(image.annotators)]
    overlaps = coco.iou([run_lengths(each) for each in counts], segments, [0] * len(segments))
    best: npt.NDArray[np.float64] = np.asarray(overlaps).max(axis=1)
    return best


def _table(scores: npt.NDArray[np.float32], ious: npt.NDArray[np.float64], images: int) -> str:
    correlations = (np.corrcoef(column, ious)[0, 1] for column in scores.T)
    lines = [f"{name} and best IoU: {found:.2f}" for name, found in zip(SCORES, correlations, strict=True)]
    lines += ["", "| `min_box_score` | masks an image | IoU 0.5 | 0.75 |", "|---|---|---|---|"]
    for threshold in THRESHOLDS:
        kept = ious[scores[:, 0] >= threshold]
        shares = " | ".join(f"{(kept >= least).mean():.0%}" if len(kept) else "" for least in (0.5, 0.75))
        lines.append(f"| {threshold} | {len(kept) / images:.1f} | {shares} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
