"""`current_detector`: the newest detector, a leaf whose version is its digest."""

import dagster as dg

from sa_pipeline.detection.record import newest_detector
from sa_pipeline.resources import DatasetResource

NO_DETECTOR = "none"


@dg.observable_source_asset(
    group_name="models",
    description="The object detector that was trained last. A new one makes pre-filled masks stale.",
)
def current_detector(data: DatasetResource) -> dg.DataVersion:
    """Observes the digest of the weights.

    The detector of a round learns from masks whose tasks may have begun with those of the detector before. Dagster
    refuses such a circle; here it is cut.
    """
    record = newest_detector(data.open().storage)
    return dg.DataVersion(NO_DETECTOR if record is None else record.digest)
