"""What annotators are told: a text with pictures that the team keeps, and cases that were unclear (paper §F)."""

import re
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from markdown_it import MarkdownIt

from sa_pipeline.errors import StudioError
from sa_pipeline.storage import Storage
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.leases import locked_task
from sa_pipeline.studio.models import GuidelineCase, Guidelines, NewCase, Role
from sa_pipeline.studio.people import Person
from sa_pipeline.studio.pictures import Pictures
from sa_pipeline.studio.refusals import not_found, not_yours
from sa_pipeline.studio.reviewing import check_place
from sa_pipeline.studio.schema import annotators, guideline_cases, tasks
from sa_pipeline.studio.views import Row, picture_of

TEXT = "guidelines.md"
PICTURES = "guidelines"
"""Folder beside the text; `![](dog.png)` in the text shows a picture of it."""

MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
}

_DEFAULT = Path(__file__).parent / "default_guidelines.md"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CASES: Any = (
    sa.select(guideline_cases, tasks, annotators.c.name.label("author"))
    .join(tasks, tasks.c.task_id == guideline_cases.c.task_id)
    .join(annotators, annotators.c.annotator_id == guideline_cases.c.author_id)
    .order_by(guideline_cases.c.case_id)
)


def read_guidelines(studio: Studio, pictures: Pictures) -> Guidelines:
    """The text as HTML, and the cases that were answered. At the first call, a text to begin with is put in its place.

    Raises:
        StudioError: The text is not UTF-8.
        StorageError: It cannot be read.
    """
    storage = Storage(studio.folder)
    if not storage.exists(TEXT):
        storage.create_bytes(TEXT, _DEFAULT.read_bytes())
    try:
        text = storage.read_bytes(TEXT).decode()
    except UnicodeDecodeError:
        raise StudioError(f"{storage.url_of(TEXT)} is not text in UTF-8; save it as such.") from None
    answered = [case for case in list_cases(studio, pictures) if case.answer is not None]
    return Guidelines(html=markdown_html(text), cases=answered)


def markdown_html(text: str) -> str:
    """Markdown as HTML: no HTML of the text's own gets through, and pictures are those of the guidelines' folder."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    for token in tokens:
        for child in token.children or []:
            source = str(child.attrs.get("src", ""))
            if child.type == "image" and _NAME.fullmatch(source):
                child.attrs["src"] = f"/api/guidelines/pictures/{source}"
    return str(markdown.renderer.render(tokens, markdown.options, {}))


def read_guideline_picture(studio: Studio, name: str) -> tuple[bytes, str]:
    """A picture of the guidelines' folder and its media type.

    Raises:
        RefusedError: not_found: there is none of that name, or it is no picture.
    """
    path = studio.folder / PICTURES / name
    media_type = MEDIA_TYPES.get(path.suffix.lower())
    if media_type is None or not _NAME.fullmatch(name) or not path.is_file():
        raise not_found(f"picture {name!r} in the guidelines")
    return path.read_bytes(), media_type


def list_cases(studio: Studio, pictures: Pictures) -> list[GuidelineCase]:
    """All unclear cases, answered or not, in the order of their coming."""
    with studio.read() as connection:
        rows = connection.execute(_CASES).all()
    return [_case(row, pictures) for row in rows]


def add_case(studio: Studio, pictures: Pictures, person: Person, new: NewCase) -> GuidelineCase:
    """Takes down an unclear case, at a place of a task's picture that the person works on, or may review.

    Raises:
        RefusedError: not_found, not_yours; invalid: the place lies outside of the picture.
    """

    def add(connection: sa.Connection) -> Row:
        task = locked_task(connection, new.task_id)
        if not person.may(Role.REVIEWER) and person.annotator_id not in (task.annotator_id, task.holder_id):
            raise not_yours(new.task_id)
        check_place(task, new.x, new.y, name="x, y")
        values = new.model_dump() | {"author_id": person.annotator_id, "created_at": studio.clock()}
        case_id = connection.scalar(guideline_cases.insert().values(values).returning(guideline_cases.c.case_id))
        found: Row = connection.execute(_CASES.where(guideline_cases.c.case_id == case_id)).one()
        return found

    return _case(studio.write(add), pictures)


def answer_case(studio: Studio, pictures: Pictures, case_id: int, answer: str) -> GuidelineCase:
    """Says what holds for an unclear case; from now on it stands in the guidelines.

    Raises:
        RefusedError: not_found.
    """

    def put(connection: sa.Connection) -> Row:
        known = guideline_cases.c.case_id == case_id
        connection.execute(guideline_cases.update().where(known).values(answer=answer))
        row: Row | None = connection.execute(_CASES.where(known)).one_or_none()
        if row is None:
            raise not_found(f"case {case_id}")
        return row

    return _case(studio.write(put), pictures)


def _case(row: Row, pictures: Pictures) -> GuidelineCase:
    return GuidelineCase(
        case_id=row.case_id,
        task_id=row.task_id,
        image=picture_of(row, pictures),
        x=row.x,
        y=row.y,
        question=row.question,
        author=row.author,
        answer=row.answer,
        created_at=row.created_at,
    )
