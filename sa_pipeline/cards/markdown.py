"""A card as Markdown, with its charts as pictures beside it."""

import re

from sa_pipeline.cards.document import Block, Chart, Document, Heading, Link, Listing, Table, Text

# Characters that would become markup; a line break would end a table's row.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#~])")


def to_markdown(document: Document, pictures: str) -> str:
    """Writes a card as Markdown.

    Args:
        document: The card.
        pictures: Folder of the charts' PNG files, relative to the Markdown file.
    """
    parts = [f"# {escaped(document.title)}", escaped(document.subtitle)]
    if document.figures:
        parts.append(_table(Table(("", ""), tuple((name, value) for value, name in document.figures))))
    for section in document.sections:
        parts.append(f"## {escaped(section.title)}")
        parts.extend(_block(block, pictures) for block in section.blocks)
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Plain text on one line, as Markdown that shows it as it is."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def _block(block: Block, pictures: str) -> str:
    match block:
        case Heading(text=text):
            return f"### {escaped(text)}"
        case Text(text=text):
            return escaped(text)
        case Link(text=text, target=target):
            return f"[{escaped(text)}]({target})"
        case Table():
            return _table(block)
        case Listing(text=text):
            longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
            fence = "`" * max(3, longest + 1)
            return f"{fence}\n{text.rstrip()}\n{fence}"
        case Chart(name=name, caption=caption):
            return f"![{escaped(caption)}]({pictures}/{name}.png)"


def _table(table: Table) -> str:
    lines = [table.header, tuple("---" for _ in table.header), *table.rows]
    cells = [[cell if index == 1 else escaped(cell) for cell in line] for index, line in enumerate(lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
