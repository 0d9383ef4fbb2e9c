"""The dataset card's section on faces and licence plates."""

from sa_pipeline.cards.document import Block, Section, Text, table
from sa_pipeline.cards.privacy_facts import PrivacyFacts
from sa_pipeline.cards.published import SA1B_PRIVACY

TITLE = "Faces and licence plates"


def privacy_section(privacy: PrivacyFacts, images: int) -> Section:
    """Says what was looked for, found and blurred, and that no detector finds all.

    Args:
        privacy: What the files say.
        images: In the export.
    """
    remark = Text(SA1B_PRIVACY, quiet=True)
    if not privacy.looked_at:
        nothing = "They were not looked for. The images are exported as they came, with whoever is on them."
        return Section(TITLE, (Text(nothing), remark))
    blocks: list[Block] = [
        table(
            ("", "count"),
            [
                ("images looked at", f"{privacy.looked_at:,} of {images:,}"),
                ("images with something blurred", f"{privacy.changed:,}"),
                ("faces blurred", f"{privacy.faces:,}"),
                ("licence plates blurred", f"{privacy.license_plates:,}"),
                ("of both, found again after blurring", f"{privacy.found_again:,}"),
            ],
        ),
        Text(
            "The pixels were blurred before masks were made, so that masks and images agree. No detector finds "
            "everything: some faces and plates are still there, and some of what was blurred was neither."
        ),
    ]
    if privacy.detectors:
        blocks.append(table(("detector", "digest"), privacy.detectors))
    return Section(TITLE, (*blocks, remark))
