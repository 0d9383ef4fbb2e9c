"""The way of a mask through the studio's page, in a real browser: from the first click to the round's snapshot."""

import io
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image
from scipy.ndimage import distance_transform_edt

from sa_pipeline.artifacts import RoundAssetName, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.masks.rle import counts_to_mask
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.models import Role
from sa_pipeline.studio.people import add_annotator
from sa_pipeline.studio.schema import objects
from sa_pipeline_tests.studio.browser import Person, ServerProcess, pixels, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    LetIn = Callable[[str], Person]

ROUND = "assisted-1"
CAT = 2
"""Image id of the photograph that all of this happens on, 451 x 300 px."""
EYE = (150, 110)
AROUND_THE_EYE = (160, 80), (210, 135)
BRUSH_RADIUS = 10.5
ON_SCREEN = "([x, y]) => window.studio.toScreen(x, y)"
ROLES = {"ada": Role.ANNOTATOR, "grace": Role.REVIEWER, "mary": Role.LEAD}


@pytest.fixture
def tokens(studio_dataset: Dataset, server: ServerProcess) -> dict[str, str]:
    """Personal tokens of a small team, at a running server with one task."""
    studio = open_studio(studio_dataset)
    fill_queue(studio, ROUND, images=[CAT])
    made = {name: add_annotator(studio, name, role) for name, role in ROLES.items()}
    studio.close()
    server.start()
    return made


@pytest.fixture
def let_in(chromium: "Browser", server: ServerProcess, tokens: dict[str, str]) -> "LetIn":
    """Signs a person of the team in, in a browser of their own."""
    return lambda name: Person(chromium, server.url, tokens[name])


def newest(person: Person) -> dict:
    """The object that was made last."""
    return list(person.objects().values())[-1]


def stroked(start: tuple[int, int], end: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """The pixels (H, W) that the round brush of 21 px touches on a horizontal or vertical stroke.

    Their centres lie within its radius of the line between the centres of both ends.
    """
    (left, right), (top, bottom) = sorted((start[0], end[0])), sorted((start[1], end[1]))
    y, x = np.mgrid[: shape[0], : shape[1]]
    off_x, off_y = x - x.clip(left, right), y - y.clip(top, bottom)
    return off_x**2 + off_y**2 <= BRUSH_RADIUS**2


def screen(person: Person) -> np.ndarray:
    """What the person sees (H, W, 3), RGB."""
    return np.asarray(Image.open(io.BytesIO(person.page.screenshot())).convert("RGB")).astype(int)


def deepest(mask: np.ndarray, away_from: tuple[int, int] = (-1000, -1000)) -> tuple[int, int]:
    """The px of a mask that is farthest from its edge, 12 px or more away from another place."""
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    far = np.hypot(x - away_from[0], y - away_from[1]) >= 12
    row, column = np.unravel_index(np.argmax(distance_transform_edt(mask) * far), mask.shape)
    return int(column), int(row)


def drag(person: Person, start: tuple[int, int], end: tuple[int, int]) -> None:
    """A box, answered."""
    person.stroke(start, end)
    person.wait_ready()


def stored_counts(dataset: Dataset) -> dict[str, str]:
    """The masks in the server's database, by object id."""
    studio = open_studio(dataset)
    with studio.read() as connection:
        rows = connection.execute(sa.select(objects.c.object_id, objects.c.counts).where(~objects.c.deleted))
        found = {str(row.object_id): row.counts for row in rows}
    studio.close()
    return found


def test_a_stranger_signs_in_with_a_token_and_begins_a_picture_by_keys(
    chromium: "Browser", server: ServerProcess, tokens: dict[str, str]
):
    page = chromium.new_context(viewport={"width": 1280, "height": 800}).new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(server.url)
    page.get_by_test_id("sign-in-token").wait_for()
    assert complaints == []

    page.keyboard.type("a-token-of-nobody")
    page.keyboard.press("Enter")
    page.get_by_test_id("sign-in-error").wait_for()
    page.keyboard.type(tokens["ada"])
    page.keyboard.press("Enter")
    page.get_by_test_id("start").wait_for()
    page.keyboard.press("Enter")
    page.get_by_test_id("editor").wait_for()
    page.keyboard.press("?")
    page.get_by_test_id("help-sheet").wait_for()
    page.keyboard.press("b")
    page.keyboard.press("Escape")
    page.get_by_test_id("help-sheet").wait_for(state="detached")
    assert page.get_by_test_id("tool-sam").get_attribute("aria-pressed") == "true", "a key went through the sheet"


def test_clicks_boxes_brush_and_eraser_and_all_is_there_after_a_reload(studio_dataset: Dataset, let_in: "LetIn"):
    ada = let_in("ada")
    ada.open_task()
    wait_until(lambda: ada.page.evaluate("window.studio.decoder()") != "none", "SAM")
    before = screen(ada)
    ada.click(EYE)
    clicked = pixels(newest(ada))
    assert clicked[EYE[1], EYE[0]]
    ada.page.mouse.move(5, 5)
    within, without = deepest(clicked, away_from=EYE), deepest(~clicked)
    changed = np.abs(screen(ada) - before).max(axis=2)
    (x, y), (other_x, other_y) = (ada.page.evaluate(ON_SCREEN, at) for at in (within, without))
    assert changed[round(y), round(x)] > 20, "the mask is not seen"
    assert changed[round(other_y), round(other_x)] <= 2, "something is seen where no mask is"

    ada.click(within, "right")
    shrunk = pixels(newest(ada))
    assert not shrunk[within[1], within[0]]
    assert shrunk[EYE[1], EYE[0]]
    assert shrunk.sum() < clicked.sum()

    ada.page.keyboard.press("b")
    horizontal, vertical = ((60, 40), (120, 40)), ((90, 20), (90, 80))
    ada.stroke(*horizontal)
    painted = pixels(newest(ada))
    np.testing.assert_array_equal(painted, shrunk | stroked(*horizontal, shrunk.shape))
    ada.page.keyboard.press("e")
    ada.stroke(*vertical)
    erased = pixels(newest(ada))
    np.testing.assert_array_equal(erased, painted & ~stroked(*vertical, shrunk.shape))

    for expected in (painted, shrunk, clicked):
        ada.page.keyboard.press("Control+z")
        np.testing.assert_array_equal(pixels(newest(ada)), expected)
    for expected in (shrunk, painted, erased):
        ada.page.keyboard.press("Control+Shift+Z")
        np.testing.assert_array_equal(pixels(newest(ada)), expected)

    ada.page.keyboard.press("l")
    ada.page.keyboard.type("left eye")
    ada.page.keyboard.press("Enter")
    ada.page.keyboard.press("n")
    ada.page.keyboard.press("x")
    (left, top), (right, bottom) = AROUND_THE_EYE
    drag(ada, *AROUND_THE_EYE)
    boxed = pixels(newest(ada))
    assert boxed[top : bottom + 1, left : right + 1].sum() > 0.8 * boxed.sum(), "the mask lies elsewhere than the box"
    assert boxed.sum() > 0.3 * (right - left) * (bottom - top)

    ada.wait_saved()
    shown = ada.objects()
    assert sorted(state["label"] for state in shown.values()) == ["", "left eye"]
    ada.page.reload()
    ada.wait_ready()
    assert ada.objects() == shown
    assert stored_counts(studio_dataset) == {name: state["mask"]["counts"] for name, state in shown.items()}
    assert ada.errors == []


def test_sent_back_mended_accepted_and_in_the_snapshot_pixel_for_pixel(studio_dataset: Dataset, let_in: "LetIn"):
    ada, grace = let_in("ada"), let_in("grace")
    ada.open_task()
    ada.page.keyboard.press("b")
    ada.stroke((100, 100), (200, 100))
    ada.page.keyboard.press("l")
    ada.page.keyboard.type("left eye")
    ada.page.keyboard.press("Enter")
    ada.page.keyboard.press("Control+Enter")
    ada.page.get_by_test_id("task-empty").wait_for()

    grace.go_to("#/reviews")
    grace.page.get_by_test_id("reviews-open").click()
    grace.wait_ready()
    assert [state["label"] for state in grace.objects().values()] == ["left eye"]
    grace.page.keyboard.press("Control+Backspace")
    assert "Pin what should be mended" in grace.page.get_by_test_id("editor-said").inner_text()
    grace.click((190, 100))
    grace.page.get_by_test_id("remark-text").fill("It ends before the edge.")
    grace.page.get_by_test_id("remark-save").click()
    grace.page.reload()
    grace.wait_ready()
    assert "It ends before the edge." in grace.page.get_by_test_id("pin-list").inner_text()
    grace.page.keyboard.press("Control+Backspace")
    grace.page.get_by_test_id("review-comment").fill("One place is left.")
    grace.page.get_by_test_id("review-send-back-confirm").click()
    grace.page.get_by_test_id("reviews").or_(grace.page.get_by_test_id("task-empty")).wait_for()

    ada.go_to("#/")
    said = ada.page.get_by_test_id("feedback-task").inner_text()
    assert "One place is left." in said
    assert "It ends before the edge." in said
    ada.page.get_by_test_id("feedback-open").click()
    ada.wait_ready()
    assert "It ends before the edge." in ada.page.get_by_test_id("pin-list").inner_text()
    ada.page.keyboard.press("ArrowDown")
    ada.page.keyboard.press("e")
    ada.stroke((200, 100), (180, 100))
    ada.page.get_by_test_id("pin-resolve").click()
    mended = pixels(newest(ada))
    shape = mended.shape
    kept = stroked((100, 100), (200, 100), shape) & ~stroked((180, 100), (200, 100), shape)
    np.testing.assert_array_equal(mended, kept)
    ada.page.get_by_test_id("editor-finish").click()
    ada.page.get_by_test_id("task-empty").wait_for()

    grace.go_to("#/reviews/next")
    grace.wait_ready()
    grace.page.get_by_test_id("review-accept").click()
    grace.page.get_by_test_id("task-empty").wait_for()
    ada.go_to("#/")
    wait_until(lambda: "accepted today" in ada.page.get_by_test_id("feedback").inner_text(), "the good news")

    command = [sys.executable, "-m", "sa_pipeline.cli", "annotations", "snapshot", "--round", ROUND]
    subprocess.run([*command, "--home", str(studio_dataset.home)], check=True, capture_output=True)
    (row,) = read_table(studio_dataset.storage, RoundAssetName.HUMAN_MASKS, ROUND).to_pylist()
    np.testing.assert_array_equal(counts_to_mask(row["counts"], tuple(row["size"])), mended)
    assert (row["image_id"], row["label"], row["annotator"]) == (CAT, "left eye", "person-1")
    assert ada.errors == grace.errors == []


def test_who_works_alone_is_told_that_another_person_must_accept(let_in: "LetIn"):
    mary = let_in("mary")
    mary.open_task()
    mary.page.keyboard.press("b")
    mary.stroke((100, 100), (200, 100))
    mary.page.keyboard.press("Control+Enter")
    mary.page.get_by_test_id("task-empty").wait_for()
    mary.go_to("#/")
    waiting = mary.page.get_by_test_id("waiting-for-review")
    waiting.wait_for()
    assert "nobody accepts their own work" in waiting.inner_text()
    assert "sa-pipeline annotators add" in waiting.inner_text()
    mary.go_to("#/reviews")
    assert "another person reviews it" in mary.page.get_by_test_id("reviews-row").inner_text()
    mary.page.get_by_test_id("reviews-start").click()
    mary.page.get_by_test_id("task-empty").wait_for()
    assert "Nobody reviews their own work" in mary.page.get_by_test_id("task-empty").inner_text()
    assert mary.errors == []
