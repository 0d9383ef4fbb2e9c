"""A verification as a file: JSON with everything, or Parquet with a row a finding."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sa_pipeline.errors import VerificationError
from sa_pipeline.storage import Storage
from sa_pipeline.verification.findings import Finding, VerificationReport

_COLUMNS = pa.schema([pa.field(name, pa.string(), nullable=False) for name in Finding.model_fields])


def check_output(path: Path) -> None:
    """Asked before the work, so that it is not in vain.

    Raises:
        VerificationError: The name ends neither with .json nor with .parquet.
    """
    if path.suffix not in (".json", ".parquet"):
        raise VerificationError(f"{path}: a report is .json or .parquet; name such a file.")


def write_report(report: VerificationReport, path: Path) -> None:
    """Writes a report, whole or not at all.

    Raises:
        VerificationError: The name ends neither with .json nor with .parquet.
        StorageError: It cannot be written.
    """
    check_output(path)
    with Storage(path.absolute().parent).writing(path.name) as aside:
        if path.suffix == ".json":
            aside.write_text(report.model_dump_json(indent=1), encoding="utf-8")
        else:
            rows = [finding.model_dump(mode="json") for finding in report.findings]
            pq.write_table(pa.Table.from_pylist(rows, schema=_COLUMNS), aside)
