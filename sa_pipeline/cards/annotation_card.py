"""The annotation card (paper, Appendix F.2): what the files say, what people say, and what nobody has said."""

from collections.abc import Mapping

from sa_pipeline.artifacts import AssetName
from sa_pipeline.cards.document import Block, Document, Heading, Section, Text, number
from sa_pipeline.cards.facts import Facts
from sa_pipeline.cards.published import PAPER
from sa_pipeline.cards.questions import ANSWERS_FILE, AnnotationAnswers
from sa_pipeline.settings import CardSettings

TITLES: Mapping[str, str] = {
    "task": "Task formulation",
    "people": "Selecting annotations",
    "platform": "Platform and infrastructure",
    "quality": "Analysis and evaluation",
    "release": "Release and maintenance",
}


def annotation_card(facts: Facts, answers: AnnotationAnswers, stated: CardSettings) -> Document:
    """Writes the card.

    Args:
        facts: What the dataset's files say.
        answers: What people say.
        stated: What the owner says of the dataset; its title and contact are taken.
    """
    found = _from_the_files(facts)
    sections = []
    for name, title in TITLES.items():
        group = getattr(answers, name)
        blocks: list[Block] = []
        for key, field in type(group).model_fields.items():
            blocks.append(Heading(str(field.description)))
            blocks.extend(_answer(getattr(group, key), found.get(f"{name}.{key}"), f"{name}.{key}"))
        sections.append(Section(title, tuple(blocks)))
    return Document(
        title=f"Annotation card: {stated.title}" if stated.title else "Annotation card",
        subtitle=f"The questions are those of Appendix F.2 of {PAPER}, in words of our own.",
        figures=(),
        sections=(_who_answered(answers, stated), *sections),
    )


def _answer(said: str | None, found: str | None, key: str) -> list[Block]:
    if said is None and found is None:
        return [Text(f"Nobody has answered this. The answer belongs under {key} in {ANSWERS_FILE}.", quiet=True)]
    return [Text(text) for text in (said, found and f"From the files: {found}") if text]


def _who_answered(answers: AnnotationAnswers, stated: CardSettings) -> Section:
    silent = [title for name, title in TITLES.items() if not any(dict(getattr(answers, name)).values())]
    blocks = [
        Text(
            f"People answer in {ANSWERS_FILE}, in the home of the dataset; what begins with 'From the files' "
            "was read from the dataset itself."
        )
    ]
    if silent:
        blocks.append(Text(f"People have said nothing on: {'; '.join(silent)}."))
    if stated.contact:
        blocks.append(Text(f"Contact: {stated.contact}"))
    return Section("Who answered", tuple(blocks))


def _from_the_files(facts: Facts) -> dict[str, str]:
    masks, making = facts.masks, facts.making
    if not masks.count:
        return {}
    weights = ", ".join(f"{item.name} (SHA-256 {item.digest})" for item in making.checkpoints)
    granularities = ", ".join(f"{count:,} {name}" for name, count in masks.granularities)
    points = making.setting(AssetName.CANDIDATE_MASKS, "points_per_side")
    predicted_iou, stability = (
        making.setting(AssetName.FILTERED_MASKS, name) for name in ("pred_iou_thresh", "stability_score_thresh")
    )
    grid = f"a grid of {points} x {points} points" if points else "grids of points that differ between shards"
    bounds = (
        f"predicted IoU over {predicted_iou:g} and a stability score of at least {stability:g}"
        if predicted_iou is not None and stability is not None
        else "thresholds that differ between shards"
    )
    return {
        "task.subjective": "where a point is ambiguous, the model gives up to three masks, of the whole, a part and a "
        f"subpart; of the exported masks there are {granularities}.",
        "task.instructions": f"no person was asked; {grid} on every image prompted the model (paper §4).",
        "people.annotators": "none. No person drew or mended a mask of this export.",
        "platform.platform": f"none. The automatic stage (paper §4) made the masks, with {weights}.",
        "quality.quality": f"masks are exported with {bounds}; their means are {number(masks.predicted_iou.mean)} and "
        f"{number(masks.stability.mean)}. The catalogue tells of no audit by people.",
        "quality.responses": "the export holds masks of the automatic stage only, as SA-1B does (paper §5).",
        "release.changes": "the same images, settings and weights give the same tars, byte for byte; croissant.json "
        "holds the SHA-256 of each.",
        "release.withdrawal": "no person's work is in this export. A withdrawn image can be followed to its masks by "
        "image_id in the catalogue.",
    }
