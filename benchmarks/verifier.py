"""What the verifier's order is worth: wrong masks found per mask looked at, against an order by chance.

    python benchmarks/verifier.py --images bsds500/images/val --references bsds500/groundTruth/val

The automatic stage segments each image with the built-in checkpoint, or another one. A mask is called wrong when no
person's segment of the image has an IoU of `--wrong-below` with it, as a person who perfects it would delete it or
change it a lot; several bounds are measured one after another. Each fifth of the images is scored by a verifier that
learnt from the others. Prints wrong masks per mask looked at, in the verifier's order, by predicted IoU, and by chance,
measured in the same run.
"""

import argparse
from pathlib import Path

import numpy as np

from sa_pipeline.annotated.opening import open_annotated
from sa_pipeline.evaluation.overlaps import best_ious
from sa_pipeline.generation.generate import generate_masks
from sa_pipeline.progress import TerminalProgress
from sa_pipeline.sam.registry import load_model
from sa_pipeline.settings import Arithmetic, preset
from sa_pipeline.verifier.features import mask_features
from sa_pipeline.verifier.value import LOOKED_AT, Value, measure_value


def main() -> None:
    """Segments, calls masks right or wrong, and measures three orders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="annotated images")
    parser.add_argument("--references", type=Path, help="people's masks of them, where they lie elsewhere")
    parser.add_argument("--checkpoint", default="tiny")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--wrong-below", type=float, nargs="+", default=[0.5, 0.75])
    parser.add_argument("--max-images", type=int)
    given = parser.parse_args()
    source, model = open_annotated(given.images, given.references), load_model(given.checkpoint)
    settings = preset(given.preset).masks
    rows, ious, images = [], [], []
    names = source.names[: given.max_images]
    for index in TerminalProgress().track(range(len(names)), description="segmenting", total=len(names)):
        image = source.read(index)
        masks = generate_masks(image.pixels, model.sam, settings, arithmetic=Arithmetic.FLOAT32)
        people = [counts for person in image.annotators for counts in person]
        counts = [mask["segmentation"]["counts"] for mask in masks]
        rows += [mask | mask["segmentation"] for mask in masks]
        ious += best_ious(counts, people, image.size).tolist()
        images += [image.name] * len(masks)
    features = mask_features(rows)
    for bound in given.wrong_below:
        print_value(measure_value(features, np.array(ious) < bound, images), bound)


def print_value(value: Value, wrong_below: float) -> None:
    """A row for each share of the masks that is looked at."""
    print(f"{value.masks} masks on {value.images} images, {value.wrong} of them wrong (IoU below {wrong_below:g})")
    print("looked at   verifier   predicted IoU   chance   verifier / chance")
    for share in LOOKED_AT:
        ratio = value.verifier[share] / value.by_chance
        print(
            f"{share:>9.0%} {value.verifier[share]:>10.3f} {value.predicted_iou[share]:>15.3f} "
            f"{value.by_chance:>8.3f} {ratio:>19.2f}"
        )


if __name__ == "__main__":
    main()
