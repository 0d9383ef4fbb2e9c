"""The dataset card: what paper §5 and Appendix F.1 say of SA-1B, said of any dataset."""

from collections.abc import Sequence

import yaml

from sa_pipeline.artifacts import AssetName
from sa_pipeline.cards.asking import Spread
from sa_pipeline.cards.charts import (
    centre_chart,
    per_image_chart,
    published_chart,
    score_charts,
    shape_chart,
    size_chart,
)
from sa_pipeline.cards.document import Block, Document, Link, Listing, Section, Table, Text, interval, number, table
from sa_pipeline.cards.facts import Facts
from sa_pipeline.cards.image_facts import ImageFacts
from sa_pipeline.cards.making import Making
from sa_pipeline.cards.people_facts import PeopleFacts
from sa_pipeline.cards.privacy_section import privacy_section
from sa_pipeline.cards.published import (
    PAPER,
    PAPER_CONSISTENCY,
    PAPER_ROUNDS,
    SA1B_AUDIT,
    SA1B_IMAGES,
    SA1B_MASKS,
    SA1B_MASKS_PER_IMAGE,
    SA1B_PREDICTED_IOU,
    SA1B_SHORTER_SIDE,
    SA1B_SOURCE_SIZE,
    SA1B_STABILITY,
)
from sa_pipeline.cards.rounds_page import ROUNDS_PAGE
from sa_pipeline.quality.audit import AuditFigures
from sa_pipeline.settings import CardSettings


def dataset_card(facts: Facts, stated: CardSettings) -> Document:
    """Writes the card of a dataset.

    Args:
        facts: What its files say.
        stated: What its owner says.
    """
    images, masks = facts.images.count, facts.masks.count
    sections = [_stated(stated)]
    if images == 0:
        sections.append(Section("Images and masks", (Text("No image is exported yet."),)))
    else:
        sections += [_beside_sa1b(facts), _images(facts.images)]
    if masks:
        sections += [_masks(facts), _scores(facts)]
    sections += [
        _audit(facts.audits),
        _people(facts.people),
        privacy_section(facts.privacy, facts.images.count),
        _sources(facts.images, stated),
        _rejected(facts.images),
        _making(facts.making),
    ]
    return Document(
        title=stated.title or f"{masks:,} masks on {images:,} images",
        subtitle=f"Dataset card. The figures of SA-1B are from {PAPER}",
        figures=(
            (f"{images:,}", "images"),
            (f"{masks:,}", "masks"),
            (number(facts.masks.per_image.mean), "masks an image"),
            (f"{len(facts.making.shards):,}", "tars"),
            (f"{sum(count for _, count in facts.images.rejected):,}", "files rejected"),
        ),
        sections=tuple(sections),
    )


def _stated(stated: CardSettings) -> Section:
    rows = [
        ("description", stated.description),
        ("licence", stated.licence),
        ("creators", ", ".join(stated.creators) or None),
        ("contact", stated.contact),
        ("how to cite", stated.citation),
        ("page", stated.url),
        ("version", stated.version),
        ("published", stated.published and stated.published.isoformat()),
    ]
    said = [(name, text) for name, text in rows if text]
    silent = ", ".join(name for name, text in rows if not text)
    blocks: list[Block] = [table(("", ""), said)] if said else []
    if silent:
        blocks.append(Text(f"Not stated: {silent}. It belongs under card in settings.yaml, in the dataset's home."))
    return Section("What its owner states", tuple(blocks))


def _beside_sa1b(facts: Facts) -> Section:
    images, masks = facts.images, facts.masks
    rows = [
        ("images", f"{images.count:,}", SA1B_IMAGES),
        ("masks", f"{masks.count:,}", SA1B_MASKS),
        ("masks an image, mean", number(masks.per_image.mean), SA1B_MASKS_PER_IMAGE),
        ("shorter side of the images, median", f"{number(images.shorter_side.median)} px", SA1B_SHORTER_SIDE),
        ("shorter side before, median", f"{number(images.source_shorter_side.median)} px", SA1B_SOURCE_SIZE),
        ("lowest predicted IoU", number(masks.predicted_iou.smallest), f"over {SA1B_PREDICTED_IOU} (Appendix B)"),
        ("lowest stability score", number(masks.stability.smallest), f"at least {SA1B_STABILITY} (Appendix B)"),
    ]
    return Section("Beside SA-1B", (table(("", "here", "SA-1B"), rows),))


def _images(images: ImageFacts) -> Section:
    sizes = [(f"{width} x {height}", f"{count:,}") for width, height, count in images.sizes]
    blocks: list[Block] = [
        _spreads(
            [("shorter side, px", images.shorter_side), ("before it was brought down", images.source_shorter_side)]
        ),
        Text(
            f"{images.downsized:,} of {images.count:,} images were brought down in size. Formats of the source files: "
            + ", ".join(f"{name} ({count:,})" for name, count in images.formats)
            + ". They are exported as JPEG."
        ),
        table(("width x height, px", "images"), sizes),
    ]
    if images.size_count > len(sizes):
        blocks.append(Text(f"The {len(sizes)} most frequent of {images.size_count:,} sizes.", quiet=True))
    return Section("Images", tuple(blocks))


def _masks(facts: Facts) -> Section:
    masks, shapes = facts.masks, facts.shapes
    granularities = ", ".join(f"{count:,} {word}" for word, count in masks.granularities)
    layers = ", ".join(f"{count:,} from {_layer(layer)}" for layer, count in masks.crop_layers)
    return Section(
        "Masks",
        (
            _spreads(
                [
                    ("masks an image", masks.per_image),
                    ("relative size: √(mask area / image area)", masks.relative_size),
                    (f"concavity, of {len(shapes.concavities):,} masks", shapes.spread),
                ]
            ),
            Text(f"Of the three masks of a point (§3): {granularities}. Of the crops (§4): {layers}."),
            per_image_chart(masks),
            published_chart(masks.per_image.mean),
            size_chart(masks),
            shape_chart(shapes),
            centre_chart(masks),
            Text(
                f"Concavity was measured on {len(shapes.concavities):,} of {masks.count:,} masks, drawn with seed "
                f"{shapes.seed}, every mask with the same chance. The paper prints the curves of SA-1B as figures "
                "without numbers; look at its Figures 5 and 6 beside these.",
                quiet=True,
            ),
            Text("The masks of the export carry no labels: they stand for objects of any kind, as in SA-1B."),
        ),
    )


def _scores(facts: Facts) -> Section:
    masks = facts.masks
    spreads = [("predicted IoU", masks.predicted_iou), ("stability score", masks.stability)]
    predicted_iou, stability = (
        facts.making.setting(AssetName.FILTERED_MASKS, name) for name in ("pred_iou_thresh", "stability_score_thresh")
    )
    return Section(
        "Predicted IoU and stability",
        (
            _spreads(spreads),
            *score_charts(masks, predicted_iou, stability),
            Text(
                "Predicted IoU is the model's own estimate. How far it can be trusted differs between checkpoints: "
                "the command sa-pipeline evaluate holds it against masks that people drew."
            ),
        ),
    )


def _audit(audits: Sequence[AuditFigures]) -> Section:
    title, remark = "Audit of the masks by people", Text(f"{SA1B_AUDIT} {PAPER_CONSISTENCY}", quiet=True)
    if not audits:
        none = (
            "No exported mask has been held against a person's. The command sa-pipeline annotate --audit begins a "
            "round for it."
        )
        return Section(title, (Text(none), remark))
    header = ("round", "images", "pairs", "IoU over 0.90", "IoU over 0.75", "kept", "deleted", "missed", "two people")
    rows = [
        (
            item.round,
            f"{item.images:,}",
            f"{item.pairs:,}",
            interval(item.over_90),
            interval(item.over_75),
            f"{item.kept:,}",
            f"{item.deleted:,}",
            f"{item.added:,}",
            f"{number(item.median_agreement)} ({item.agreements:,})" if item.agreements else "-",
        )
        for item in audits
    ]
    return Section(
        title,
        (
            Text(
                "People perfected the exported masks of images that were drawn by chance. A pair is an automatic mask "
                "and what the first person made of it; in brackets is the confidence interval of the share, by "
                "bootstrap over images. Kept are masks without any change, deleted ones are no pairs, and missed are "
                "objects that people drew beside them."
            ),
            table(header, rows),
            Text(
                "Two people: the median IoU of what two made of the same automatic mask, each on their own, and the "
                "number of such masks. They began with the same mask, so that they agree more than people who draw "
                "from nothing.",
                quiet=True,
            ),
            remark,
        ),
    )


def _people(people: PeopleFacts) -> Section:
    remark = Text(PAPER_ROUNDS, quiet=True)
    if not people.count:
        none = (
            "The catalogue tells of none. Every mask of the export is as the automatic stage made it, which is true of "
            "SA-1B as well (§5)."
        )
        return Section("People's masks, rounds and labels", (Text(none), remark))
    sources = ", ".join(f"{count:,} {name}" for name, count in people.sources)
    rounds = [
        (
            item.name,
            item.stage.replace("_", " "),
            f"{item.images:,}",
            f"{item.masks:,}",
            number(item.masks / item.images),
            "-" if item.seconds_per_mask is None else number(item.seconds_per_mask),
            "-" if item.clicks_per_mask is None else number(item.clicks_per_mask),
            f"{item.annotators:,}",
        )
        for item in people.rounds
    ]
    return Section(
        "People's masks, rounds and labels",
        (
            Text(
                f"{people.count:,} masks on {people.images:,} images were made or confirmed by people and accepted by "
                f"a reviewer: {sources}. They are kept apart, under human_masks; the export, and all that this card "
                "says elsewhere, holds the automatic stage's masks only, as SA-1B does (§5)."
            ),
            table(("round", "stage", "images", "masks", "an image", "s a mask", "clicks a mask", "people"), rounds),
            Text("Seconds and clicks are means over the masks made by hand; idle time is left out."),
            Link("Curves over all rounds, beside the paper's", f"{ROUNDS_PAGE}.html"),
            remark,
            *_labels(people),
        ),
    )


def _labels(people: PeopleFacts) -> tuple[Block, ...]:
    if not people.labels:
        return (Text("None of them has a label."),)
    text = (
        f"{people.labelled:,} of them have a label, in the annotators' own words; {people.label_count:,} are different."
    )
    if people.label_count > len(people.labels):
        text += f" The most used {len(people.labels)}:"
    rows = [(label, kind, f"{masks:,}") for label, kind, masks in people.labels]
    return Text(text), table(("label", "kind", "masks"), rows)


def _sources(images: ImageFacts, stated: CardSettings) -> Section:
    rows = [(source.place, f"{source.images:,}", f"{source.rejected:,}") for source in images.sources]
    blocks: list[Block] = [table(("read from", "images", "rejected"), rows)] if rows else []
    if images.source_count > len(rows):
        blocks.append(Text(f"The {len(rows)} largest of {images.source_count:,} places.", quiet=True))
    licence = (
        f"Licence, as the owner states it: {stated.licence}"
        if stated.licence
        else "The owner has not stated a licence. Do not take the images or the masks for free to use."
    )
    return Section("Sources and licence", (*blocks, Text(licence)))


def _rejected(images: ImageFacts) -> Section:
    if not images.rejected:
        return Section("Rejected files", (Text("No file of the exported shards was rejected."),))
    rows = [(reason.replace("_", " "), f"{count:,}") for reason, count in images.rejected]
    return Section("Rejected files", (table(("reason", "files"), rows),))


def _making(making: Making) -> Section:
    weights = [(item.name, item.digest, f"{item.shards:,}", f"{item.masks:,}") for item in making.checkpoints]
    listed = [{"asset": item.asset.value, "shards": item.shards, "settings": item.values} for item in making.settings]
    blocks: list[Block] = []
    if weights:
        blocks.append(table(("checkpoint", "SHA-256 of its file", "shards", "masks"), weights))
    if making.left_out:
        blocks.append(Text(f"{making.left_out:,} shards are left out: they are begun, or half made anew."))
    if listed:
        blocks.append(Text("The settings that the files were made with, read from the files themselves:"))
        blocks.append(Listing(yaml.safe_dump(listed, sort_keys=False)))
    return Section("Checkpoints and settings", tuple(blocks))


def _spreads(rows: list[tuple[str, Spread]]) -> Table:
    values = [(name, *(number(value) for value in (of.smallest, of.median, of.mean, of.largest))) for name, of in rows]
    return table(("", "smallest", "median", "mean", "largest"), values)


def _layer(layer: int) -> str:
    return "the full image" if layer == 0 else f"crops of layer {layer}"
