"""The cards, as someone who opens them finds them."""

import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from sa_pipeline.cards.questions import AnnotationAnswers
from sa_pipeline.cards.write import write_cards
from sa_pipeline.catalog.build import build_catalog
from sa_pipeline.catalog.query import query
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.errors import CatalogError, SettingsError
from sa_pipeline.settings import CardSettings
from sa_pipeline_tests.cards.conftest import HOSTILE

DOCUMENT = Path(__file__).parents[2] / "docs" / "dataset-card.md"


class Page(HTMLParser):
    """Tags, what is loaded or linked, and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "xlink:href") or (tag == "link")]

    def handle_data(self, data) -> None:
        self.text += data


def stating(dataset: Dataset, **stated: object) -> Dataset:
    card = CardSettings.model_validate(stated)
    return open_dataset(dataset.home, dataset.config.model_copy(update={"card": card}))


def read(dataset: Dataset, name: str) -> str:
    return (dataset.home / "cards" / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def night_shots(exported_home: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A dataset with its cards; the owner states some things, and nobody answers a question."""
    home = tmp_path_factory.mktemp("night_shots") / "home"
    shutil.copytree(exported_home.home, home)
    dataset = stating(open_dataset(home, exported_home.config), title="Night shots", contact="me@example.org")
    write_cards(dataset)
    return dataset


def test_the_page_needs_nothing_beside_it(night_shots) -> None:
    page = Page(read(night_shots, "dataset_card.html"))
    assert page.tags.count("svg") == 7
    assert page.loaded
    assert all(source.startswith(("data:", "#")) for source in page.loaded)
    assert "script" not in page.tags


def test_charts_take_the_colours_of_the_page(night_shots) -> None:
    html = read(night_shots, "dataset_card.html")
    assert "currentColor" in html
    assert "#000000" not in html
    assert "#ffffff" not in html


@pytest.mark.parametrize("name", ["dataset_card.html", "dataset_card.md"])
def test_both_forms_say_what_is_known(night_shots, name) -> None:
    text = read(night_shots, name).replace("<td>", " ").replace("</td>", " ")
    (masks,) = query(night_shots, "SELECT count(*) FROM masks").iloc[0]
    (digest,) = query(night_shots, "SELECT digest FROM checkpoints").iloc[0]
    for expected in ("Night shots", str(masks), digest, "not an image", "94 %", "3,300 x 4,950 px", "day 1"):
        assert expected in text


def test_what_the_owner_does_not_state_is_told_as_such(night_shots) -> None:
    text = Page(read(night_shots, "dataset_card.html")).text
    assert "The owner has not stated a licence." in text
    assert "Not stated: description, licence, creators, how to cite" in text
    assert "me@example.org" in text


def test_text_from_outside_cannot_become_markup(exported) -> None:
    dataset = stating(exported, title=HOSTILE, description=HOSTILE, licence=HOSTILE)
    write_cards(dataset)
    page = Page(read(dataset, "dataset_card.html"))
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) == 5  # title of the window, heading, description, licence twice
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    rendered = Page(markdown.render(read(dataset, "dataset_card.md")))
    assert "script" not in rendered.tags
    assert rendered.text.count(HOSTILE) == 4


def test_the_pictures_that_the_markdown_names_lie_beside_it(night_shots) -> None:
    page = Page(MarkdownIt("commonmark").enable("table").render(read(night_shots, "dataset_card.md")))
    assert len(page.loaded) == 7
    assert all((night_shots.home / "cards" / source).is_file() for source in page.loaded)


def test_writing_again_changes_no_byte(night_shots) -> None:
    def files() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in (night_shots.home / "cards").rglob("*") if path.is_file()}

    before = files()
    write_cards(night_shots)
    assert files() == before


def test_a_dataset_without_exports_has_cards(tmp_path) -> None:
    dataset = open_dataset(tmp_path / "empty", DatasetConfig())
    with pytest.raises(CatalogError, match="does not exist yet"):
        write_cards(dataset)
    build_catalog(dataset)
    assert write_cards(dataset).overview is None
    assert "No image is exported yet." in read(dataset, "dataset_card.html")


def test_unanswered_questions_say_so(night_shots) -> None:
    text = Page(read(night_shots, "annotation_card.html")).text
    assert "People have said nothing on: Task formulation; Selecting annotations" in text
    assert "Nobody has answered this. The answer belongs under platform.pay in annotation.yaml." in text


def test_answers_stand_beside_what_the_files_say(exported) -> None:
    answers = "platform: {pay: 20 an hour}\nquality: {quality: We look at every mask.}\n"
    (exported.home / "annotation.yaml").write_text(answers)
    write_cards(exported)
    text = Page(read(exported, "annotation_card.html")).text
    assert "20 an hour" in text
    assert "platform.pay" not in text
    assert "We look at every mask." in text
    assert "From the files: masks are exported with predicted IoU over 0.3" in text
    assert "People have said nothing on: Task formulation; Selecting annotations; Release and maintenance." in text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("platform: {wage: 20}", r"annotation\.yaml: platform\.wage: there is no such field"),
        ("- pay", "expected a mapping with the sections task, people"),
        ("platform: {pay: 20}", r"platform\.pay: .*string"),
        ("platform: [", "not readable as YAML"),
    ],
)
def test_a_mistake_in_the_answers_is_named(exported, text, sentence) -> None:
    (exported.home / "annotation.yaml").write_text(text)
    with pytest.raises(SettingsError, match=sentence):
        write_cards(exported)


def test_every_question_and_every_statement_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for section, field in AnnotationAnswers.model_fields.items():
        for key, question in type(field.default).model_fields.items():
            assert f"| `{section}.{key}` | {question.description} |" in text
    for name, field in CardSettings.model_fields.items():
        assert f"| `{name}` | {field.description} |" in text
