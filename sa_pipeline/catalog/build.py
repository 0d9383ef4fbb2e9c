"""Building the catalogue: files in, one DuckDB file out, published by rename."""

import dataclasses
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from sa_pipeline.artifacts import (
    ArtifactHeader,
    AssetName,
    FileAssetName,
    RoundAssetName,
    artifact_name,
    list_partitions,
    read_header,
)
from sa_pipeline.catalog.appender import Appender
from sa_pipeline.catalog.checkpoints import load_checkpoints
from sa_pipeline.catalog.lineage import LINEAGE_MACROS, LINEAGE_VIEWS, MACRO_MEANINGS
from sa_pipeline.catalog.schema import COLUMN_COMMENTS, TABLE_MEANINGS, TABLES, VIEWS
from sa_pipeline.dataset import CATALOG_FILE, Dataset
from sa_pipeline.detection.record import read_detector_record
from sa_pipeline.errors import ArtifactError
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.round_figures.collect import read_round_report
from sa_pipeline.schemas import (
    CANDIDATE_MASKS,
    DEDUPLICATED_MASKS,
    DEIDENTIFIED_IMAGES,
    FILTERED_MASKS,
    HUMAN_MASK_EVENTS,
    HUMAN_MASKS,
    MASK_QUALITY_AUDIT,
    PREFILLED_MASKS,
    PREFILLED_OUTCOMES,
    RAW_IMAGES,
    ROUND_FIGURES,
)
from sa_pipeline.stages.prefilled_outcomes import prefilled_outcomes
from sa_pipeline.storage import Storage

_LOADED: Mapping[FileAssetName, tuple[pa.Schema, frozenset[str]]] = {
    AssetName.RAW_IMAGES: (RAW_IMAGES, frozenset({"jpeg"})),
    AssetName.DEIDENTIFIED_IMAGES: (DEIDENTIFIED_IMAGES, frozenset({"jpeg"})),
    AssetName.CANDIDATE_MASKS: (CANDIDATE_MASKS, frozenset({"counts"})),
    AssetName.FILTERED_MASKS: (FILTERED_MASKS, frozenset()),
    AssetName.DEDUPLICATED_MASKS: (DEDUPLICATED_MASKS, frozenset({"counts"})),
    RoundAssetName.HUMAN_MASKS: (HUMAN_MASKS, frozenset({"counts"})),
    RoundAssetName.HUMAN_MASK_EVENTS: (HUMAN_MASK_EVENTS, frozenset({"size", "counts"})),
    RoundAssetName.PREFILLED_MASKS: (PREFILLED_MASKS, frozenset({"size", "counts"})),
    RoundAssetName.MASK_QUALITY_AUDIT: (MASK_QUALITY_AUDIT, frozenset({"size", "counts", "human_counts"})),
}
"""What is loaded of each file, and the columns that are left in it: pixels and run lengths."""

_TEXTS_BEFORE = ("asset", "shard", "round", "file")
_TEXTS_AFTER = ("content_digest", "checkpoint", "checkpoint_digest", "settings", "inputs", "counts")
_ARTIFACTS = pa.schema(
    [
        *((name, pa.string()) for name in _TEXTS_BEFORE),
        ("bytes", pa.int64()),
        ("schema_version", pa.int32()),
        *((name, pa.string()) for name in _TEXTS_AFTER),
    ]
)
"""As the catalogue's table has it."""


@dataclass(frozen=True)
class CatalogReport:
    """Rows by table, and the seconds that the build took."""

    counts: dict[str, int]
    seconds: float


def build_catalog(dataset: Dataset, runs: pa.Table | None = None, progress: Progress | None = None) -> CatalogReport:
    """Builds the catalogue of a dataset from its files.

    It is written aside and renamed: whoever reads the old one goes on reading it, and no reader hinders a build.

    Args:
        dataset: The dataset; shards and rounds of which only some files exist are taken with what they have.
        runs: Past runs (run_id, job, shard, round, status, started, ended), if there is somebody who knows them.
        progress: Shows the shards and rounds.

    Raises:
        StorageError: The catalogue cannot be written.
    """
    started = time.monotonic()
    with Storage(dataset.home).writing(CATALOG_FILE) as path:
        path.unlink(missing_ok=True)
        with duckdb.connect(str(path)) as connection:
            _create(connection)
            connection.begin()  # one transaction, where each file's own would be flushed to disk
            _load(connection, dataset, progress or SilentProgress())
            connection.commit()
            load_checkpoints(connection, dataset)
            _load_rounds(connection, dataset.storage)
            if runs is not None and runs.num_rows:
                connection.register("given_runs", runs)
                connection.execute("INSERT INTO runs BY NAME SELECT * FROM given_runs")
            for statement in (*TABLES.derived, *VIEWS, *LINEAGE_VIEWS, *LINEAGE_MACROS):
                connection.execute(statement)
            _comment(connection)
            counts = {
                str(name): int(connection.execute(f'SELECT count(*) FROM "{name}"').fetchall()[0][0])  # noqa: S608
                for (name,) in connection.execute(
                    "SELECT table_name FROM duckdb_tables() WHERE NOT temporary ORDER BY 1"
                ).fetchall()
            }
        Path(f"{path}.wal").unlink(missing_ok=True)
    return CatalogReport(counts, time.monotonic() - started)


def _create(connection: duckdb.DuckDBPyConnection) -> None:
    for statement in TABLES.created:
        connection.execute(statement)
    for asset, (schema, left_out) in _LOADED.items():
        fields = [field for field in schema if field.name not in left_out]
        if asset in AssetName:
            fields.append(pa.field("shard", pa.string()))
        _create_empty(connection, f"loaded_{asset}", pa.schema(fields))
    _create_empty(connection, "loaded_prefilled_outcomes", PREFILLED_OUTCOMES)


def _create_empty(connection: duckdb.DuckDBPyConnection, table: str, schema: pa.Schema) -> None:
    connection.register("empty", schema.empty_table())
    connection.execute(f"CREATE TEMP TABLE {table} AS SELECT * FROM empty")  # noqa: S608
    connection.unregister("empty")


def _load(connection: duckdb.DuckDBPyConnection, dataset: Dataset, progress: Progress) -> None:
    shards = list_shards(dataset.storage)
    partitions: list[tuple[type[AssetName | RoundAssetName], str]] = [(AssetName, shard) for shard in shards]
    # A coming round may have files before anything of it is accepted.
    rounds = {name for asset in RoundAssetName for name in list_partitions(dataset.storage, asset)}
    partitions += [(RoundAssetName, name) for name in sorted(rounds)]
    appender = Appender(connection)
    for assets, partition in progress.track(partitions, description="catalogue", total=len(partitions)):
        headers = list(_headers(dataset.storage, assets, partition))
        appender.append("artifacts", _artifact_rows(dataset.storage, headers))
        for header in headers:
            if header.asset in _LOADED:
                appender.append(f"loaded_{header.asset}", _rows_of(dataset.storage, header))
            if header.asset is RoundAssetName.HUMAN_MASK_EVENTS:
                _append_outcomes(appender, dataset, partition)
            if header.asset is RoundAssetName.OBJECT_DETECTOR:
                _insert_detector(connection, dataset.storage, partition)
    appender.insert_all()


def _headers(storage: Storage, assets: Iterable[FileAssetName], partition: str) -> Iterator[ArtifactHeader]:
    for asset in assets:
        try:
            header = read_header(storage, asset, partition)
        except ArtifactError:
            continue  # the asset's own check reports a damaged file; the catalogue tells of what can be read
        if header is not None:
            yield header


def _artifact_rows(storage: Storage, headers: Iterable[ArtifactHeader]) -> pa.Table:
    return pa.Table.from_pylist([_artifact_row(storage, header) for header in headers], schema=_ARTIFACTS)


def _artifact_row(storage: Storage, header: ArtifactHeader) -> dict[str, object]:
    name = artifact_name(header.asset, header.partition)
    checkpoint = header.checkpoint
    return {
        "asset": header.asset.value,
        "shard": header.partition if header.asset in AssetName else None,
        "round": header.partition if header.asset in RoundAssetName else None,
        "file": name,
        "bytes": storage.size(name),
        "schema_version": header.schema_version,
        "content_digest": header.content_digest,
        "checkpoint": checkpoint.name if checkpoint else None,
        "checkpoint_digest": checkpoint.digest if checkpoint else None,
        "settings": json.dumps(header.settings, sort_keys=True),
        "inputs": json.dumps(header.inputs, sort_keys=True),
        "counts": json.dumps(header.counts, sort_keys=True),
    }


def _rows_of(storage: Storage, header: ArtifactHeader) -> pa.Table:
    asset, partition = header.asset, header.partition
    schema, left_out = _LOADED[asset]
    columns = [name for name in schema.names if name not in left_out]
    with storage.reading(artifact_name(asset, partition)) as file:
        rows = pq.read_table(file, columns=columns)
    if asset in AssetName:
        rows = rows.append_column("shard", pa.array([partition] * rows.num_rows, pa.string()))
    return rows


def _append_outcomes(appender: Appender, dataset: Dataset, round_name: str) -> None:
    try:
        rows = prefilled_outcomes(dataset, round_name)
    except ArtifactError:
        return  # as above: one of the round's files is missing or damaged
    appender.append("loaded_prefilled_outcomes", rows)


def _insert_detector(connection: duckdb.DuckDBPyConnection, storage: Storage, round_name: str) -> None:
    try:
        record = read_detector_record(storage, round_name)
    except ArtifactError:
        return
    if record is not None:
        counts, recall = record.header.counts, record.recall
        values = [round_name, record.digest, list(record.rounds), record.steps, record.loss]
        values += [counts[name] for name in ("train_images", "train_boxes", "held_out_images", "held_out_boxes")]
        values += [recall.max_boxes, recall.at_half, recall.average, recall.random_at_half, recall.random_average]
        connection.execute(f"INSERT INTO detectors VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608


def _load_rounds(connection: duckdb.DuckDBPyConnection, storage: Storage) -> None:
    try:
        found = read_round_report(storage)
    except ArtifactError:
        found = []  # round_report makes it anew; the catalogue tells of what can be read
    rows = pa.Table.from_pylist([dataclasses.asdict(figures) for figures in found], schema=ROUND_FIGURES)
    connection.register("given_rounds", rows)
    connection.execute("CREATE TABLE rounds AS SELECT * EXCLUDE (inputs) FROM given_rounds")
    connection.unregister("given_rounds")


def _comment(connection: duckdb.DuckDBPyConnection) -> None:
    for table, meaning in TABLE_MEANINGS.items():
        connection.execute(f"COMMENT ON TABLE \"{table}\" IS 'A row is {meaning}.'")
    for macro, meaning in MACRO_MEANINGS.items():
        connection.execute(f"COMMENT ON MACRO TABLE \"{macro}\" IS '{meaning}'")
    for table, comments in COLUMN_COMMENTS.items():
        for column, comment in comments.items():
            text = comment.replace("'", "''")
            connection.execute(f'COMMENT ON COLUMN "{table}"."{column}" IS \'{text}\'')
