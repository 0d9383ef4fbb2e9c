"""How many faces CenterFace finds in the photographs of BSDS500, by their size, and how long that takes.

    python benchmarks/deidentification.py --images ../shared/bsds500/images/val

The faces were marked by hand in all 300 images of `train` and `val` (`faces_bsds500.json`, XYWH in px): every face of
a person of which an eye or the outline of the nose can be seen. Where a box of the detector, at a score from 0.15,
fitted the face, that box was taken over; the others were drawn. `unclear` are places that count neither way: heads from
behind, people of a few pixels, statues, painted people. A face counts as found when three quarters of its box are
blurred; a box counts as false when it lies on no face and on nothing unclear.
"""

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sa_pipeline.privacy.blurring import blur_detections
from sa_pipeline.privacy.centerface import CenterFace
from sa_pipeline.privacy.detection import Detection
from sa_pipeline.settings import DeidentificationSettings

MARKED = Path(__file__).with_name("faces_bsds500.json")
HEIGHTS = (0, 14, 24, 48, 10_000)
SCORES = (0.2, 0.25, 0.3, 0.4, 0.5)
MIN_COVERED, MIN_ON_FACE = 0.75, 0.3
SIZES = ((640, 480), (2250, 1500))
DEFAULTS = DeidentificationSettings()

Box = Sequence[float]
Marked = Mapping[str, Mapping[str, list[Box]]]


def main() -> None:
    """Runs the detector and prints what it found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of BSDS500's photographs, or one of more")
    parser.add_argument("--min-face-height", type=int, default=DEFAULTS.min_face_height, help="px; as the setting")
    parser.add_argument("--output", type=Path, help="folder for the images in which faces were blurred, to look at")
    parser.add_argument("--speed", type=Path, help="a photograph that is timed in two sizes, and nothing else is done")
    arguments = parser.parse_args()
    detector = CenterFace(SCORES[0], arguments.min_face_height)
    if arguments.speed:
        _time(detector, arguments.speed)
        return
    marked = json.loads(MARKED.read_text())
    found = {}
    for path in sorted(arguments.images.rglob("*.jpg")):
        pixels = np.array(Image.open(path).convert("RGB"))
        found[path.name] = detector.detect(pixels)
        if arguments.output:
            _save(arguments.output / path.name, pixels, found[path.name])
    faces = sum(len(marked.get(name, {}).get("faces", ())) for name in found)
    print(f"{faces} faces in {len(found)} images; faces enlarged from {arguments.min_face_height} px on")
    print("score  " + "".join(f"{_range(low, high):>15}" for low, high in _ranges()) + "   all found  false  in images")
    for score in SCORES:
        _print_row(score, found, marked)


def _print_row(score: float, found: Mapping[str, Sequence[Detection]], marked: Marked) -> None:
    hits: dict[tuple[int, int], list[bool]] = {each: [] for each in _ranges()}
    false, images, missed = 0, 0, []
    for name, detections in found.items():
        boxes = [each.bbox for each in detections if each.score >= score]
        faces, unclear = (marked.get(name, {}).get(key, []) for key in ("faces", "unclear"))
        for face in faces:
            covered = _covered(face, [_enlarged(box) for box in boxes]) >= MIN_COVERED
            next(hit for (low, high), hit in hits.items() if low <= face[3] < high).append(covered)
            missed += [] if covered else [name]
        wrong = sum(not any(_share(box, other) > MIN_ON_FACE for other in (*faces, *unclear)) for box in boxes)
        false, images = false + wrong, images + bool(wrong)
    total = [hit for values in hits.values() for hit in values]
    cells = "".join(f"{f'{sum(values)} of {len(values)}':>15}" for values in hits.values())
    print(f"{score:<7}{cells}{f'{sum(total)} of {len(total)}':>12}{false:>7}{images:>11}")
    if score == DEFAULTS.min_face_score:
        print(f"       missed in {', '.join(sorted(set(missed))) or 'none'}")


def _time(detector: CenterFace, photograph: Path) -> None:
    for size in SIZES:
        pixels = np.array(Image.open(photograph).convert("RGB").resize(size))
        detector.detect(pixels[:64, :64])
        seconds = []
        for _ in range(3):
            started = time.process_time(), time.monotonic()
            detector.detect(pixels)
            seconds.append((time.process_time() - started[0], time.monotonic() - started[1]))
        processor, wall = (statistics.median(each) for each in zip(*seconds, strict=True))
        print(f"{size[0]} x {size[1]}: {processor:.2f} s of processor time, {wall:.2f} s by the clock; median of three")


def _save(path: Path, pixels: np.ndarray, detections: Iterable[Detection]) -> None:
    kept = [each for each in detections if each.score >= DEFAULTS.min_face_score]
    if kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blur_detections(pixels, kept, DEFAULTS.enlargement)).save(path, quality=95)


def _ranges() -> list[tuple[int, int]]:
    return list(itertools.pairwise(HEIGHTS))


def _range(low: int, high: int) -> str:
    return f"from {low} px" if high == HEIGHTS[-1] else f"{low} to {high - 1} px"


def _enlarged(box: Box) -> Box:
    x, y, w, h = box
    factor = DEFAULTS.enlargement
    return x - w * (factor - 1) / 2, y - h * (factor - 1) / 2, w * factor, h * factor


def _covered(face: Box, boxes: Sequence[Box]) -> float:
    """Share of a face's pixels that lie in any of the boxes."""
    x, y, w, h = (round(value) for value in face)
    seen = np.zeros((h, w), bool)
    for left, top, wide, tall in boxes:
        rows = slice(max(0, round(top - y)), max(0, round(top + tall - y)))
        seen[rows, max(0, round(left - x)) : max(0, round(left + wide - x))] = True
    return float(seen.mean())


def _share(box: Box, other: Box) -> float:
    """Share of the smaller of two boxes that lies in the other."""
    across = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    down = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    return max(0.0, across) * max(0.0, down) / max(1e-9, min(box[2] * box[3], other[2] * other[3]))


if __name__ == "__main__":
    main()
