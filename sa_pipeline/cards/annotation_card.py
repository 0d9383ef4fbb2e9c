"""The annotation card (paper, Appendix F.2): what the files say, what people say, and what nobody has said."""

from collections.abc import Mapping, Sequence

from sa_pipeline.artifacts import AssetName
from sa_pipeline.cards.document import Block, Document, Heading, Section, Text, interval, number
from sa_pipeline.cards.facts import Facts
from sa_pipeline.cards.people_facts import PeopleFacts
from sa_pipeline.cards.published import PAPER
from sa_pipeline.cards.questions import ANSWERS_FILE, AnnotationAnswers
from sa_pipeline.quality.audit import AuditFigures
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
    return (_of_the_export(facts) if facts.masks.count else {}) | (
        _of_people(facts.people) if facts.people.count else _of_nobody()
    )


def _of_the_export(facts: Facts) -> dict[str, str]:
    masks, making = facts.masks, facts.making
    weights = ", ".join(f"{item.name} (SHA-256 {item.digest})" for item in making.checkpoints)
    granularities = ", ".join(f"{count:,} {name}" for name, count in masks.granularities)
    predicted_iou, stability = (
        making.setting(AssetName.FILTERED_MASKS, name) for name in ("pred_iou_thresh", "stability_score_thresh")
    )
    bounds = (
        f"predicted IoU over {predicted_iou:g} and a stability score of at least {stability:g}"
        if predicted_iou is not None and stability is not None
        else "thresholds that differ between shards"
    )
    return {
        "task.subjective": "where a point is ambiguous, the model gives up to three masks, of the whole, a part and a "
        f"subpart; of the exported masks there are {granularities}.",
        "quality.quality": f"masks are exported with {bounds}; their means are {number(masks.predicted_iou.mean)} and "
        f"{number(masks.stability.mean)}. {_audited(facts.audits)}",
        "quality.responses": f"the export holds masks of the automatic stage only (paper §4, §5), made with {weights}.",
        "release.changes": "the same images, settings and weights give the same tars, byte for byte; croissant.json "
        "holds the SHA-256 of each.",
    }


def _audited(audits: Sequence[AuditFigures]) -> str:
    if not audits:
        return "The catalogue tells of no audit by people."
    said = (f"{item.round}: {interval(item.over_90)} of {item.pairs:,} pairs" for item in audits)
    return f"In audits by people, masks with an IoU over 0.90 with the person's are, in {'; '.join(said)}."


def _of_people(people: PeopleFacts) -> dict[str, str]:
    rounds = ", ".join(item.name for item in people.rounds)
    said = {
        "people.annotators": f"{people.annotators:,} made the {people.count:,} accepted masks of the rounds {rounds}, "
        f"and {people.reviewers:,} accepted them; the files know them by pseudonyms.",
        "platform.platform": "the annotation studio of sa_pipeline. Every change of a mask is kept with its tool, its "
        "time and the pseudonym of who made it.",
        "release.withdrawal": "every mask bears the pseudonym of who made it, by which the catalogue finds all that a "
        "person made. The export holds none of it.",
    }
    if people.pilot_tasks:
        said["task.wording"] = f"{people.pilot_tasks:,} accepted tasks were of a pilot."
    return said


def _of_nobody() -> dict[str, str]:
    return {
        "people.annotators": "none. The catalogue tells of no mask that a person made.",
        "platform.platform": "none. The automatic stage (paper §4) made all masks.",
        "release.withdrawal": "no person's work is in this dataset.",
    }
