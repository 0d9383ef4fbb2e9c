"""How fast the annotation studio's page is in Chromium: one click, and moving a picture with many masks.

    python benchmarks/studio_page.py [--image PHOTO] [--checkpoint tiny] [--clicks 40] [--masks 1000]

A click is timed from the press of the button to the end of the frame that shows the mask, on an image of the size of
SA-1B's. `decode` is the network, `enlarge` the way from its logits to the image's size, both in the page's worker;
`paint` is the rest on the page's own thread: mask, run lengths, event, panels, drawing. Without preview, SAM is asked
when the button is pressed; with it, SAM has answered while the pointer rested. Frames are counted while the picture
with the masks is dragged and zoomed. Needs `make web`, Chromium and playwright.
"""

import argparse
import contextlib
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import numpy.typing as npt
import skimage.data
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from studio_serving import serving

from sa_pipeline.dataset import DatasetConfig, open_dataset
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.masks.rle import mask_to_counts
from sa_pipeline.sam.registry import load_model
from sa_pipeline.settings import PipelineSettings
from sa_pipeline.stages.image_embeddings import make_image_embeddings
from sa_pipeline.stages.raw_images import make_raw_images
from sa_pipeline.studio.database import Studio, open_studio
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.models import MAX_EVENTS_PER_SAVE
from sa_pipeline.studio.people import add_annotator

WIDTH, HEIGHT = 2250, 1500
PARTS = ("click", "decode", "enlarge", "paint")
REST_SECONDS = 1.0
"""The pointer's rest before a click with preview; a person's is about as long."""


def main() -> None:
    """Sets a studio up, works in it, prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, help="photograph; default: scikit-image's coffee")
    parser.add_argument("--checkpoint", default="tiny")
    parser.add_argument("--clicks", type=int, default=40)
    parser.add_argument("--masks", type=int, default=1000)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        _studio(Path(folder), arguments.image, arguments.checkpoint) as studio,
    ):
        token = add_annotator(studio, "benchmark")
        with serving(studio) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(f"{url}/#token={token}")
            page.get_by_test_id("home").wait_for()
            _open_task(page, url)
            print(f"{arguments.checkpoint}, {WIDTH} x {HEIGHT} px, Chromium {browser.version}")
            print(f"decoder: {page.evaluate('window.studio.decoder()')}\n")
            print("| a click | part | median ms | p95 ms |\n|---|---|---|---|")
            _print_parts("first, without preview", _clicks(page, arguments.clicks, preview=False, refine=False))
            _print_parts("second, without preview", _clicks(page, arguments.clicks, preview=False, refine=True))
            _print_parts("first, with preview", _clicks(page, arguments.clicks, preview=True, refine=False))
            _add_masks(url, token, arguments.masks)
            _open_task(page, url)
            shown = page.evaluate("window.studio.objects().length")
            print(f"\n| {shown} masks | frames | median ms | p95 ms | longest ms |\n|---|---|---|---|---|")
            for name, move in (("drag", _drag), ("zoom", _zoom)):
                frames = _frames(page, move)
                print(f"| {name} | {len(frames)} | {_figures(frames)} | {frames.max():.0f} |")
            browser.close()


@contextlib.contextmanager
def _studio(folder: Path, image: Path | None, checkpoint: str) -> Iterator[Studio]:
    """A dataset of one picture, embedded, with a task for it."""
    photographs = folder / "photographs"
    photographs.mkdir()
    picture = Image.open(image).convert("RGB") if image else Image.fromarray(skimage.data.coffee())
    picture.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(photographs / "picture.jpg", quality=92)
    settings = PipelineSettings(checkpoint=checkpoint)
    dataset = open_dataset(folder / "home", DatasetConfig(source=str(photographs), settings=settings))
    append_new_images(dataset.storage, str(photographs), settings.images)
    model = load_model(checkpoint)
    for shard in list_shards(dataset.storage):
        make_raw_images(dataset, shard)
        make_image_embeddings(dataset, shard, model)
    studio = open_studio(dataset)
    try:
        fill_queue(studio, "benchmark")
        yield studio
    finally:
        studio.close()


def _open_task(page: Page, url: str) -> None:
    page.goto("about:blank")
    page.goto(f"{url}/#/tasks/next")
    _wait(page, "!!window.studio && !window.studio.busy() && window.studio.decoder() !== 'none'")


def _wait(page: Page, condition: str) -> None:
    # The page's content security policy forbids what `wait_for_function` does.
    end = time.monotonic() + 60
    while not page.evaluate(condition):
        if time.monotonic() > end:
            raise TimeoutError(f"waited a minute for {condition}")
        time.sleep(0.01)


def _clicks(page: Page, count: int, *, preview: bool, refine: bool) -> dict[str, npt.NDArray[np.float64]]:
    """Milliseconds of each part over `count` clicks; each object is taken back."""
    box = page.get_by_test_id("view-hover-preview")
    box.set_checked(preview)
    generator = np.random.default_rng(0)
    page.evaluate("performance.clearMeasures()")
    for _ in range(count):
        if refine:
            _click(page, generator)
        mark = page.evaluate("performance.now()")
        _click(page, generator, rest=REST_SECONDS if preview else 0.0)
        page.evaluate(_KEEP, mark)
        for _ in range(1 + refine):
            page.keyboard.press("Control+z")
    return {part: np.array(page.evaluate(_KEPT, f"studio:{part}")) for part in PARTS}


_KEEP = """mark => {
  window.kept ??= {};
  for (const {name, startTime, duration} of performance.getEntriesByType('measure'))
    if (startTime + duration >= mark) (window.kept[name] ??= []).push(duration);
  performance.clearMeasures();
}"""
_KEPT = "name => { const found = window.kept[name] ?? []; window.kept[name] = []; return found; }"


def _click(page: Page, generator: np.random.Generator, rest: float = 0.0) -> None:
    x, y = generator.uniform(0.1, 0.9, 2) * (WIDTH, HEIGHT)
    at = page.evaluate("([x, y]) => window.studio.toScreen(x, y)", [x, y])
    page.mouse.move(*at)
    time.sleep(rest)
    before = page.evaluate("performance.getEntriesByName('studio:click').length")
    page.mouse.down()
    page.mouse.up()
    _wait(page, f"performance.getEntriesByName('studio:click').length > {before} && !window.studio.busy()")


def _print_parts(name: str, parts: dict[str, npt.NDArray[np.float64]]) -> None:
    for part, values in parts.items():
        if len(values):
            print(f"| {name} | {'all' if part == 'click' else part} | {_figures(values)} |")


def _figures(values: npt.NDArray[np.float64]) -> str:
    return f"{np.median(values):.0f} | {np.percentile(values, 95):.0f}"


def _add_masks(url: str, token: str, count: int) -> None:
    """Blobs of many sizes all over the picture, saved as a person's."""
    generator = np.random.default_rng(1)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    events = []
    for index in range(count):
        centre_x, centre_y = generator.uniform(0, 1, 2) * (WIDTH, HEIGHT)
        radius = 10 * 12 ** generator.uniform()
        ragged = radius * (1 + 0.3 * np.sin(generator.integers(3, 9) * np.arctan2(y - centre_y, x - centre_x)))
        counts = mask_to_counts((x - centre_x) ** 2 + (y - centre_y) ** 2 <= ragged**2)
        state = {
            "object_id": str(uuid.uuid4()),
            "prominence": index,
            "mask": {"size": [HEIGHT, WIDTH], "counts": counts},
        }
        events.append({"op_id": str(uuid.uuid4()), "tool": "brush", "at": time.time(), "object": state})
    with httpx.Client(base_url=f"{url}/api", headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        detail = client.post("/tasks/lease").raise_for_status().json()
        version = detail["task"]["version"]
        for start in range(0, count, MAX_EVENTS_PER_SAVE):
            some = events[start : start + MAX_EVENTS_PER_SAVE]
            body = {"lease_token": detail["lease"]["lease_token"], "base_version": version, "events": some}
            answer = client.post(f"/tasks/{detail['task']['task_id']}/events", json=body)
            version = answer.raise_for_status().json()["version"]


_RECORD = """() => {
  window.frames_ = []; let last = performance.now(); window.recording = true;
  const step = () => { const now = performance.now(); window.frames_.push(now - last); last = now;
                       if (window.recording) requestAnimationFrame(step); };
  requestAnimationFrame(step);
}"""


def _frames(page: Page, move: Callable[[Page], None]) -> npt.NDArray[np.float64]:
    """Milliseconds from frame to frame while the picture moves."""
    page.evaluate(_RECORD)
    move(page)
    times = page.evaluate("() => { window.recording = false; return window.frames_; }")
    return np.array(times[2:])


def _drag(page: Page) -> None:
    page.keyboard.press("1")
    page.mouse.move(600, 400)
    page.mouse.down(button="middle")
    for k in range(240):
        page.mouse.move(600 + 250 * np.sin(k / 12), 400 + 150 * np.sin(k / 17))
    page.mouse.up(button="middle")


def _zoom(page: Page) -> None:
    page.keyboard.press("f")
    page.mouse.move(500, 420)
    for k in range(160):
        page.mouse.wheel(0, -60 if (k // 40) % 2 == 0 else 60)


if __name__ == "__main__":
    main()
