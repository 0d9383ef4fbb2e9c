"""Pictures of every page of the annotation studio, at two window sizes, light and dark, to be looked at.

    python benchmarks/studio_screens.py --output screens [--only editor]

Photographs of scikit-image are segmented, a small team works on them, and Chromium visits each page. The files are
`NAME-WIDTH-SCHEME.png`. Needs `make web`, Chromium and playwright.
"""

import argparse
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from playwright.sync_api import Browser, Page, sync_playwright
from skimage import data
from studio_serving import serving

from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.demo import copy_demo_images
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.masks.rle import counts_to_mask
from sa_pipeline.progress import TerminalProgress, watched_by
from sa_pipeline.sam.registry import load_model
from sa_pipeline.settings import PipelineSettings, preset
from sa_pipeline.stages.candidate_masks import make_candidate_masks
from sa_pipeline.stages.deduplicated_masks import make_deduplicated_masks
from sa_pipeline.stages.filtered_masks import make_filtered_masks
from sa_pipeline.stages.image_embeddings import make_image_embeddings
from sa_pipeline.stages.raw_images import make_raw_images
from sa_pipeline.studio.database import Studio, open_studio
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.guidelines import add_case, answer_case
from sa_pipeline.studio.models import (
    Event,
    Kind,
    NewCase,
    NewPin,
    ObjectState,
    Review,
    Rle,
    Role,
    Save,
    Stage,
    Tool,
    Verdict,
)
from sa_pipeline.studio.new_tasks import GivenMask
from sa_pipeline.studio.people import Person, add_annotator, person_of_token
from sa_pipeline.studio.pictures import Pictures
from sa_pipeline.studio.prefilling import automatic_masks
from sa_pipeline.studio.queue import finish_task, lease_next, skip_task
from sa_pipeline.studio.reviewing import lease_review, review
from sa_pipeline.studio.saving import save
from sa_pipeline.studio.schema import tasks

SIZES = ((1280, 800), (2560, 1440))
SCHEMES = ("light", "dark")
CALLED = (
    {"suit": (120, 300), "head": (225, 110), "neck of the suit": (250, 220), "badge": (170, 385), "visor": (370, 390)},
    {"coat": (100, 300), "sky": (100, 40), "grass": (420, 420), "hair": (235, 90), "tripod": (295, 400)},
    {"left eye": (170, 115), "right eye": (320, 130), "nose": (265, 245), "fur": (225, 190)},
    {"saucer": (150, 260), "table": (40, 360), "cup": (250, 60), "coffee": (270, 130), "spoon": (330, 270)},
    {"coin": (340, 40), "small coin": (80, 55), "coin with a head": (330, 210), "cloth": (190, 75)},
)
"""Labels for the photographs, in the order of their ids, each with a pixel (XY) of what it names."""
STUFF = {"grass", "sky", "fur", "table", "cloth"}
Prefills = Mapping[int, Sequence[GivenMask]]


@dataclass
class Team:
    """The studio, and people with their tokens."""

    studio: Studio
    masks: Prefills
    tokens: dict[str, str]
    chance: random.Random

    def person(self, name: str) -> Person:
        """Somebody of the team."""
        person = person_of_token(self.studio, self.tokens[name])
        assert person is not None
        return person


@dataclass(frozen=True)
class Screen:
    """A page as one person sees it, after something was done there."""

    name: str
    person: str | None
    address: str
    prepare: Callable[[Page], None] = lambda page: page.wait_for_timeout(300)


def main() -> None:
    """Sets a studio up, works in it, takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder")
    parser.add_argument("--only", default="", help="pages whose name contains this")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        dataset = _dataset(Path(folder))
        studio = open_studio(dataset)
        prefill = automatic_masks(dataset)
        masks = {number: found for shard in list_shards(dataset.storage) for number, found in prefill(shard).items()}
        roles = {"Ada Lovelace": Role.ANNOTATOR, "Alan Turing": Role.ANNOTATOR, "Katherine Johnson": Role.ANNOTATOR}
        roles |= {"Grace Hopper": Role.REVIEWER, "Mary Somerville": Role.LEAD}
        tokens = {name: add_annotator(studio, name, role) for name, role in roles.items()}
        team = Team(studio, masks, tokens, random.Random(0))
        try:
            with serving(studio) as url, sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                for work, screens in ((_nothing, _empty), (_work, _worked), (_pilot, _piloted)):
                    work(team)
                    wanted = [screen for screen in screens(team) if arguments.only in screen.name]
                    _take(browser, url, team, wanted, arguments.output)
                browser.close()
        finally:
            studio.close()


def _dataset(folder: Path) -> Dataset:
    """Photographs with embeddings and automatic masks."""
    photographs = folder / "photographs"
    copy_demo_images(photographs)
    shutil.copy(Path(data.__file__).parent / "motorcycle_left.png", photographs)
    fast = preset("fast")
    config = DatasetConfig(source=str(photographs), settings=PipelineSettings(masks=fast.masks))
    dataset = open_dataset(folder / "photographs-2026", config)
    append_new_images(dataset.storage, str(photographs), dataset.settings.images)
    model = load_model(dataset.settings.checkpoint)
    with watched_by(TerminalProgress()):
        for shard in list_shards(dataset.storage):
            make_raw_images(dataset, shard)
            make_image_embeddings(dataset, shard, model)
            make_candidate_masks(dataset, shard, model)
            make_filtered_masks(dataset, shard)
            make_deduplicated_masks(dataset, shard)
    return dataset


def _nothing(team: Team) -> None:
    """Nobody has worked yet, and no round is open."""


def _work(team: Team) -> None:
    """A first round with reviews, and a second one with pre-filled masks."""
    images = sorted(team.masks)
    fill_queue(team.studio, "assisted-1", images=images[:5], annotators_per_image=2)
    for name, pictures in (("Ada Lovelace", 3), ("Alan Turing", 3), ("Katherine Johnson", 2)):
        for _ in range(pictures):
            _annotate(team, name)
    _annotate(team, "Alan Turing", skip="blurred, and nothing can be told apart")
    grace = team.person("Grace Hopper")
    for verdict in (Verdict.SENT_BACK, Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.SENT_BACK):
        _review(team, grace, verdict)
    fill_queue(
        team.studio,
        "semi-1",
        stage=Stage.SEMI_AUTOMATIC,
        images=images[5:6],
        prefill=automatic_masks(team.studio.dataset),
    )
    _ask(team)


def _annotate(team: Team, name: str, skip: str = "") -> None:
    person = team.person(name)
    grant = lease_next(team.studio, person)
    if skip:
        return skip_task(team.studio, person, grant.task_id, grant.lease.lease_token, skip)
    with team.studio.read() as connection:
        row = connection.execute(sa.select(tasks).where(tasks.c.task_id == grant.task_id)).one()
    size = (row.height, row.width)
    events = []
    named = _named(team.masks[row.image_id], CALLED[row.image_id - 1], size)
    for prominence, (mask, label) in enumerate(named[: team.chance.randint(8, 16)]):
        state = ObjectState(
            object_id=uuid.uuid4(),
            label=label,
            kind=Kind.STUFF if label in STUFF else Kind.THING,
            unnameable=not label and team.chance.random() < 0.4,
            prominence=prominence,
            mask=Rle(size=size, counts=mask.counts),
            prompts=mask.prompts,
        )
        for tool in [Tool.CLICK] * team.chance.randint(1, 3) + [Tool.LABEL]:
            seconds = team.chance.uniform(2, 9)
            events.append(Event(op_id=uuid.uuid4(), tool=tool, object=state, at=time.time(), active_seconds=seconds))
    request = Save(lease_token=grant.lease.lease_token, base_version=row.version, events=events)
    version = save(team.studio, person, grant.task_id, request).version
    finish_task(team.studio, person, grant.task_id, grant.lease.lease_token, version)
    return None


def _named(
    given: Sequence[GivenMask], called: Mapping[str, tuple[int, int]], size: tuple[int, int]
) -> list[tuple[GivenMask, str]]:
    """Masks with their labels: for each, the smallest mask with its pixel; then small ones without."""
    left = [(counts_to_mask(mask.counts, size), mask) for mask in given]
    left.sort(key=lambda pair: pair[0].sum())
    named = []
    for label, (x, y) in called.items():
        found = next((pair for pair in left if pair[0][y, x]), None)
        if found is not None:
            named.append((found[1], label))
            left = [pair for pair in left if pair is not found]
    return named + [(mask, "") for _, mask in left]


def _review(team: Team, person: Person, verdict: Verdict) -> None:
    grant = lease_review(team.studio, person)
    with team.studio.read() as connection:
        row = connection.execute(sa.select(tasks).where(tasks.c.task_id == grant.task_id)).one()
    pins: list[NewPin] = []
    comment = ""
    if verdict is Verdict.SENT_BACK:
        comment = "Nearly there. Two places are left; the rest may stay as it is."
        pins = [
            NewPin(x=0.35 * row.width, y=0.3 * row.height, comment="The edge runs through the hair here."),
            NewPin(x=0.7 * row.width, y=0.6 * row.height, comment="This is one object, not two: merge the masks."),
        ]
    decided = Review(
        lease_token=grant.lease.lease_token, version=row.version, verdict=verdict, pins=pins, comment=comment
    )
    review(team.studio, person, grant.task_id, decided)


def _ask(team: Team) -> None:
    """Two unclear cases, one of them answered."""
    pictures = Pictures(team.studio.dataset)
    first, second = _tasks_of(team, "Ada Lovelace")[:2]
    ada = team.person("Ada Lovelace")
    known = add_case(
        team.studio, pictures, ada, NewCase(task_id=first, x=120, y=200, question="Is a badge an object of its own?")
    )
    answer_case(team.studio, pictures, known.case_id, "Yes, if it can be told from the suit at 100 %.")
    add_case(
        team.studio, pictures, ada, NewCase(task_id=second, x=200, y=140, question="Do whiskers belong to the cat?")
    )


def _pilot(team: Team) -> None:
    """A new round that the team tries out first."""
    fill_queue(team.studio, "assisted-2", images=sorted(team.masks)[6:], pilot_tasks=1)


def _tasks_of(team: Team, name: str, state: str | None = None) -> list[int]:
    query = sa.select(tasks.c.task_id).where(tasks.c.annotator_id == team.person(name).annotator_id)
    if state is not None:
        query = query.where(tasks.c.state == state)
    with team.studio.read() as connection:
        return list(connection.scalars(query.order_by(tasks.c.task_id)))


def _empty(_team: Team) -> list[Screen]:
    return [
        Screen("sign-in", None, "#/"),
        Screen("sign-in-refused", None, "#/", _refused),
        Screen("home-empty", "Ada Lovelace", "#/"),
        Screen("task-empty", "Ada Lovelace", "#/tasks/next"),
        Screen("reviews-empty", "Grace Hopper", "#/reviews"),
        Screen("team-empty", "Mary Somerville", "#/team"),
        Screen("browse-empty", "Ada Lovelace", "#/browse?source=human"),
    ]


def _worked(team: Team) -> list[Screen]:
    sent_back = _tasks_of(team, "Ada Lovelace", "sent_back")[0]
    done = _tasks_of(team, "Alan Turing", "accepted")[0]
    return [
        Screen("home", "Ada Lovelace", "#/"),
        Screen("home-lead", "Mary Somerville", "#/"),
        Screen("editor", "Ada Lovelace", f"#/tasks/{sent_back}", _object),
        Screen("editor-brush", "Ada Lovelace", f"#/tasks/{sent_back}", _brush),
        Screen("editor-zoomed", "Ada Lovelace", f"#/tasks/{sent_back}", _zoomed),
        Screen("editor-label", "Ada Lovelace", f"#/tasks/{sent_back}", _label),
        Screen("editor-click", "Katherine Johnson", "#/tasks/next", _click),
        Screen("editor-prefilled", "Katherine Johnson", "#/tasks/next", _ready),
        Screen("help", "Ada Lovelace", f"#/tasks/{sent_back}", lambda page: _keys(page, "?")),
        Screen("guidelines-panel", "Ada Lovelace", f"#/tasks/{sent_back}", lambda page: _keys(page, "g")),
        Screen("skip", "Ada Lovelace", f"#/tasks/{sent_back}", lambda page: _keys(page, "s")),
        Screen("reviews", "Grace Hopper", "#/reviews"),
        Screen("reviews-qa", "Mary Somerville", "#/reviews", lambda page: _tab(page, "daily_qa")),
        Screen("review", "Grace Hopper", "#/reviews/next", _pin),
        Screen("review-send-back", "Grace Hopper", "#/reviews/next", _send_back),
        Screen("look", "Grace Hopper", f"#/reviews/{done}", lambda page: page.wait_for_timeout(1000)),
        Screen("team", "Mary Somerville", "#/team"),
        Screen("browse", "Grace Hopper", "#/browse"),
        Screen("browse-picture", "Grace Hopper", "#/browse", _open_picture),
        Screen("browse-people", "Grace Hopper", "#/browse?source=human", _open_picture),
        Screen("guidelines", "Ada Lovelace", "#/guidelines"),
    ]


def _piloted(_team: Team) -> list[Screen]:
    return [
        Screen("home-pilot", "Katherine Johnson", "#/"),
        Screen("team-pilot", "Mary Somerville", "#/team"),
    ]


def _ready(page: Page) -> None:
    _until(page, "!!window.studio && !window.studio.busy() && window.studio.decoder() !== 'none'")
    page.wait_for_timeout(300)


def _object(page: Page) -> None:
    _ready(page)
    page.get_by_test_id("object-row").nth(1).get_by_role("button").first.click()
    page.wait_for_timeout(300)


def _brush(page: Page) -> None:
    _object(page)
    page.keyboard.press("b")
    page.mouse.move(500, 400)
    page.wait_for_timeout(300)


def _zoomed(page: Page) -> None:
    _object(page)
    x, y = page.evaluate("window.studio.toScreen(200, 150)")
    page.mouse.move(x, y)
    for _ in range(30):
        page.mouse.wheel(0, -120)
    page.wait_for_timeout(300)


def _label(page: Page) -> None:
    _object(page)
    page.keyboard.press("l")
    page.keyboard.press("Backspace")
    page.wait_for_timeout(500)


def _click(page: Page) -> None:
    _ready(page)
    x, y = page.evaluate("window.studio.toScreen(260, 200)")
    page.mouse.click(x, y)
    _until(page, "window.studio.objects().length > 0 && !window.studio.busy()")
    page.wait_for_timeout(500)


def _keys(page: Page, *keys: str) -> None:
    _ready(page)
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_timeout(500)


def _tab(page: Page, tab: str) -> None:
    page.locator(f'[data-tab="{tab}"]').click()
    page.wait_for_timeout(500)


def _pin(page: Page, *, save_it: bool = False) -> None:
    _ready(page)
    page.keyboard.press("i")
    x, y = page.evaluate("window.studio.toScreen(180, 160)")
    page.mouse.click(x, y)
    page.get_by_test_id("remark-text").fill("The mask stops short of the edge here.")
    if save_it:
        page.get_by_test_id("remark-save").click()
    page.wait_for_timeout(300)


def _send_back(page: Page) -> None:
    _pin(page, save_it=True)
    page.get_by_test_id("review-send-back").click()
    page.wait_for_timeout(300)


def _open_picture(page: Page) -> None:
    page.get_by_test_id("browse-picture").nth(1).click()
    page.get_by_test_id("browse-mask").first.wait_for()
    page.get_by_test_id("browse-mask").nth(2).click()
    page.wait_for_timeout(700)


def _refused(page: Page) -> None:
    page.get_by_test_id("sign-in-token").fill("not-a-token-of-anybody")
    page.get_by_test_id("sign-in-submit").click()
    page.get_by_test_id("sign-in-error").wait_for()


def _until(page: Page, condition: str) -> None:
    # The page's content security policy forbids what `wait_for_function` does.
    end = time.monotonic() + 60
    while not page.evaluate(condition):
        if time.monotonic() > end:
            raise TimeoutError(f"waited a minute for {condition}")
        time.sleep(0.05)


def _take(browser: Browser, url: str, team: Team, screens: Sequence[Screen], output: Path) -> None:
    for width, height in SIZES:
        for scheme in SCHEMES:
            for name in dict.fromkeys(screen.person for screen in screens):
                context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                page = context.new_page()
                page.on("pageerror", lambda error: print("  page error:", error))
                page.on(
                    "console", lambda message: print("  console:", message.text) if message.type == "error" else None
                )
                page.goto(url if name is None else f"{url}/#token={team.tokens[name]}")
                page.get_by_test_id("sign-in-form" if name is None else "home").wait_for()
                for screen in screens:
                    if screen.person == name:
                        page.goto("about:blank")
                        page.goto(f"{url}/{screen.address}")
                        page.wait_for_load_state("networkidle")
                        screen.prepare(page)
                        page.screenshot(path=output / f"{screen.name}-{width}-{scheme}.png")
                        print(f"{screen.name}-{width}-{scheme}.png")
                context.close()


if __name__ == "__main__":
    main()
