"""Writing the cards of a dataset: HTML, Markdown with its pictures, and Croissant metadata."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from sa_pipeline.artifacts import AssetName, export_tar_name, read_header
from sa_pipeline.cards.annotation_card import annotation_card
from sa_pipeline.cards.asking import asking
from sa_pipeline.cards.charts import overview
from sa_pipeline.cards.croissant import TarFile, croissant
from sa_pipeline.cards.dataset_card import dataset_card
from sa_pipeline.cards.document import Document
from sa_pipeline.cards.facts import collect_facts
from sa_pipeline.cards.markdown import to_markdown
from sa_pipeline.cards.questions import read_answers
from sa_pipeline.cards.rounds_page import ROUNDS_PAGE, rounds_page
from sa_pipeline.dataset import Dataset
from sa_pipeline.progress import Progress
from sa_pipeline.report.html import render
from sa_pipeline.report.png import png_bytes
from sa_pipeline.round_figures.collect import read_round_report
from sa_pipeline.storage import Storage

CARDS_FOLDER = "cards"
"""Within the storage root."""
PICTURES = "pictures"
CROISSANT_FILE = "croissant.json"


@dataclass(frozen=True)
class WrittenCards:
    """What was written.

    Attributes:
        files: Path or URL of each file by its name, pictures left out.
        images: Images that the cards tell of.
        masks: Masks that the cards tell of.
        sampled: Masks whose shape was measured.
        overview: Some charts in one picture; None for a dataset without masks.
    """

    files: dict[str, str]
    images: int
    masks: int
    sampled: int
    overview: Image.Image | None


def write_cards(dataset: Dataset, output: str | Path | None = None, progress: Progress | None = None) -> WrittenCards:
    """Writes the cards of a dataset as its catalogue knows it.

    Args:
        dataset: With a catalogue.
        output: Folder or URL; by default `cards/` in the dataset's storage, from where the metadata names the tars
            by relative paths, so that both can be published together.
        progress: Shows the shards that masks are sampled from.

    Raises:
        CatalogError: There is no catalogue.
        SettingsError: `annotation.yaml` has a wrong field.
        ArtifactError: A file that masks are sampled from is not there or is damaged.
        StorageError: A file cannot be written.
    """
    answers = read_answers(dataset.home)
    with asking(dataset) as ask:
        facts = collect_facts(dataset, ask, progress)
    stated = dataset.config.card
    cards = {
        "dataset_card": dataset_card(facts, stated),
        "annotation_card": annotation_card(facts, answers, stated),
    }
    files: dict[str, bytes] = {}
    for name, card in cards.items():
        files |= _files(name, card)
    files[CROISSANT_FILE] = croissant(facts, stated, list(_tars(dataset, facts.making.shards, output is None)))
    return WrittenCards(
        files=_publish(dataset, output, files),
        images=facts.images.count,
        masks=facts.masks.count,
        sampled=len(facts.shapes.concavities),
        overview=overview(cards["dataset_card"].charts),
    )


def write_rounds_page(dataset: Dataset, output: str | Path | None = None) -> dict[str, str]:
    """Writes the page of the annotation rounds beside the cards, from the figures that `round_report` holds.

    Args:
        dataset: The dataset.
        output: As `write_cards` takes it.

    Returns:
        Path or URL of each file by its name, pictures left out.

    Raises:
        ArtifactError: The table of figures is damaged.
        StorageError: A file cannot be written.
    """
    return _publish(dataset, output, _files(ROUNDS_PAGE, rounds_page(read_round_report(dataset.storage))))


def _files(name: str, card: Document) -> dict[str, bytes]:
    """A card in both forms, the pictures of the Markdown first."""
    files = {f"{PICTURES}/{chart.name}.png": png_bytes(chart.picture) for chart in card.charts}
    files[f"{name}.md"] = to_markdown(card, PICTURES).encode()
    files[f"{name}.html"] = render("card.html.j2", card=card)
    return files


def _publish(dataset: Dataset, output: str | Path | None, files: Mapping[str, bytes]) -> dict[str, str]:
    storage, folder = (dataset.storage, f"{CARDS_FOLDER}/") if output is None else (Storage(output), "")
    for name, data in files.items():
        storage.write_bytes(folder + name, data)
    return {name: storage.url_of(folder + name) for name in files if "/" not in name}


def _tars(dataset: Dataset, shards: Sequence[str], relative: bool) -> Iterator[TarFile]:
    for shard in shards:
        # Asked of the file, not of the catalogue, so that the digest is that of the bytes that lie there now.
        header = read_header(dataset.storage, AssetName.SA1B_EXPORT, shard)
        if header is not None:
            name = export_tar_name(shard)
            url = f"../{name}" if relative else dataset.storage.url_of(name)
            yield TarFile(url, dataset.storage.size(name), header.content_digest)
