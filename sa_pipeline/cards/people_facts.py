"""What a card says of people's masks: rounds, speed, labels, how many annotators; nothing of it is in the export."""

from dataclasses import dataclass

from sa_pipeline.cards.asking import Questions

MOST_LABELS = 30
"""Of the table of labels."""


@dataclass(frozen=True)
class Round:
    """An annotation round.

    Attributes:
        name: Its partition.
        stage: assisted_manual, semi_automatic or audit.
        images: With an accepted mask.
        masks: Accepted.
        manual: Of these, made by hand.
        annotators: Number of people who made them.
        seconds_per_mask: Mean over the masks made by hand, idle time left out; None without any.
        clicks_per_mask: The same of clicks.
    """

    name: str
    stage: str
    images: int
    masks: int
    manual: int
    annotators: int
    seconds_per_mask: float | None
    clicks_per_mask: float | None


@dataclass(frozen=True)
class PeopleFacts:
    """Of the masks that people made or confirmed and a reviewer accepted.

    Attributes:
        count: Masks.
        images: With such a mask.
        annotators: Number of people who made them.
        reviewers: Number of people who accepted them.
        pilot_tasks: Tasks of the pilot among them.
        sources: How masks first came to be (manual, prefilled, imported), and number of masks.
        rounds: By name.
        labelled: Masks with a label.
        label_count: Number of different labels.
        labels: Label, thing or stuff, and number of masks, the most used first; at most `MOST_LABELS`.
    """

    count: int
    images: int
    annotators: int
    reviewers: int
    pilot_tasks: int
    sources: tuple[tuple[str, int], ...]
    rounds: tuple[Round, ...]
    labelled: int
    label_count: int
    labels: tuple[tuple[str, str, int], ...]


_ROUNDS = """
SELECT round, stage, count(DISTINCT image_id), count(*), count(*) FILTER (source = 'manual'), count(DISTINCT annotator),
       avg(active_seconds) FILTER (source = 'manual'), avg(clicks) FILTER (source = 'manual')
FROM human_masks GROUP BY round, stage ORDER BY min(accepted_at), round
"""


def collect_people_facts(ask: Questions) -> PeopleFacts:
    """Asks the catalogue about people's masks."""
    sources = ask.rows("SELECT source, count(*) FROM human_masks GROUP BY 1 ORDER BY 2 DESC, 1")
    labels = ask.rows(f"SELECT label, kind, masks FROM labels LIMIT {MOST_LABELS}")  # noqa: S608  # a number of ours
    return PeopleFacts(
        count=ask.number("SELECT count(*) FROM human_masks"),
        images=ask.number("SELECT count(DISTINCT image_id) FROM human_masks"),
        annotators=ask.number("SELECT count(DISTINCT annotator) FROM human_masks"),
        reviewers=ask.number("SELECT count(DISTINCT reviewer) FROM human_masks"),
        pilot_tasks=ask.number("SELECT count(DISTINCT task_id) FROM human_masks WHERE pilot"),
        sources=tuple((source, count) for source, count in sources),
        rounds=tuple(Round(*row) for row in ask.rows(_ROUNDS)),
        labelled=ask.number("SELECT count(*) FROM human_masks WHERE label <> ''"),
        label_count=ask.number("SELECT count(DISTINCT label) FROM human_masks WHERE label <> ''"),
        labels=tuple((label, kind, masks) for label, kind, masks in labels),
    )
