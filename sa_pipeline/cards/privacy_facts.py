"""What a card says of faces and licence plates: in how many images they were looked for, found and blurred."""

from dataclasses import dataclass

from sa_pipeline.cards.asking import Questions


@dataclass(frozen=True)
class PrivacyFacts:
    """Of the images in the export.

    Attributes:
        looked_at: Images that were exported after faces and licence plates were looked for.
        changed: Of these, images in which something was found and blurred.
        faces: Blurred.
        license_plates: Blurred.
        found_again: Boxes in which the detector found something even after they had been blurred.
        detectors: Name and digest of those that found something.
    """

    looked_at: int
    changed: int
    faces: int
    license_plates: int
    found_again: int
    detectors: tuple[tuple[str, str], ...]


# The export was made from the very file that tells of the boxes.
_USED = """
SELECT d.shard, d.counts FROM artifacts d
JOIN artifacts e ON e.asset = 'sa1b_export' AND e.shard = d.shard
     AND e.inputs->>'deidentified_images' = d.content_digest
WHERE d.asset = 'deidentified_images' AND d.shard IN (SELECT shard FROM exported)
"""
_COUNTED = ("images", "changed", "faces", "license_plates", "found_again")
_DETECTORS = f"""
SELECT DISTINCT detector, detector_digest FROM deidentified_boxes WHERE shard IN (SELECT shard FROM ({_USED}))
ORDER BY 1, 2
"""  # noqa: S608  # no text from outside


def collect_privacy_facts(ask: Questions) -> PrivacyFacts:
    """Asks the catalogue about what was blurred."""
    sums = ", ".join(f"coalesce(sum((counts->>'{name}')::BIGINT), 0)" for name in _COUNTED)
    (counted,) = ask.rows(f"SELECT {sums} FROM ({_USED})")  # noqa: S608  # as above
    looked_at, changed, faces, license_plates, found_again = (int(count) for count in counted)
    detectors = tuple((name, digest) for name, digest in ask.rows(_DETECTORS))
    return PrivacyFacts(looked_at, changed, faces, license_plates, found_again, detectors)
