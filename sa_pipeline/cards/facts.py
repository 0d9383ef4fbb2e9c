"""All that the cards of a dataset say, but for what people state."""

from dataclasses import dataclass

from sa_pipeline.cards.asking import Questions
from sa_pipeline.cards.image_facts import ImageFacts, collect_image_facts
from sa_pipeline.cards.making import Making, collect_making
from sa_pipeline.cards.mask_facts import MaskFacts, collect_mask_facts
from sa_pipeline.cards.people_facts import PeopleFacts, collect_people_facts
from sa_pipeline.cards.privacy_facts import PrivacyFacts, collect_privacy_facts
from sa_pipeline.cards.shapes import ShapeSample, sample_shapes
from sa_pipeline.dataset import Dataset
from sa_pipeline.progress import Progress
from sa_pipeline.quality.audit import AuditFigures, audit_figures

_AUDITS = "SELECT round FROM artifacts WHERE asset = 'mask_quality_audit' ORDER BY round"


@dataclass(frozen=True)
class Facts:
    """What the files of a dataset's exported shards say, and those of its annotation rounds."""

    images: ImageFacts
    masks: MaskFacts
    people: PeopleFacts
    privacy: PrivacyFacts
    making: Making
    shapes: ShapeSample
    audits: tuple[AuditFigures, ...]


def collect_facts(dataset: Dataset, ask: Questions, progress: Progress | None = None) -> Facts:
    """Asks the catalogue, and measures a sample of the masks.

    Raises:
        ArtifactError: A file that masks are sampled from is not there or is damaged.
    """
    return Facts(
        images=collect_image_facts(ask),
        masks=collect_mask_facts(ask),
        people=collect_people_facts(ask),
        privacy=collect_privacy_facts(ask),
        making=collect_making(ask),
        shapes=sample_shapes(dataset, ask, progress=progress),
        audits=tuple(audit_figures(dataset, name) for (name,) in ask.rows(_AUDITS)),
    )
