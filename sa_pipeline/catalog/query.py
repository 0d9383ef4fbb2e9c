"""Asking the catalogue."""

import duckdb
import pandas as pd

from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import CatalogError

STATISTICS = {
    "Shards": "SELECT count(*) AS shards, sum(images) AS images, sum(rejected) AS rejected, sum(masks) AS masks "
    "FROM shards",
    "Masks per image": "SELECT avg(masks) AS mean, median(masks) AS median, min(masks) AS min, max(masks) AS max "
    "FROM masks_per_image",
    "From proposal to mask": "SELECT * FROM funnel",
    "Mask size: square root of the share of the image": "SELECT * FROM mask_size_distribution",
    "Scores of exported masks": "SELECT avg(predicted_iou) AS predicted_iou, min(predicted_iou) AS lowest, "
    "avg(stability_score) AS stability_score, min(stability_score) AS least_stable FROM masks",
    "Rejected files": "SELECT reason, count(*) AS files FROM rejected_images GROUP BY ALL ORDER BY 2 DESC",
    "Checkpoints": "SELECT * FROM checkpoints",
}
"""Title and query of each table of `sa-pipeline stats`."""


def query(dataset: Dataset, sql: str) -> pd.DataFrame:
    """Runs a query on the catalogue; nothing can be changed.

    Args:
        dataset: The dataset.
        sql: One DuckDB statement.

    Returns:
        Plain Python values, so that integers beside nulls stay exact.

    Raises:
        CatalogError: There is no catalogue, or the query failed; the text holds DuckDB's own message.
    """
    with open_catalog(dataset) as connection:
        try:
            cursor = connection.execute(sql)
            names = [column[0] for column in cursor.description or ()]
            return pd.DataFrame(cursor.fetchall(), columns=names, dtype=object)
        except duckdb.Error as error:
            raise CatalogError(f"The query failed: {error}") from None


def statistics(dataset: Dataset) -> list[tuple[str, pd.DataFrame]]:
    """What is in the dataset: titles and tables; tables without rows are left out.

    Raises:
        CatalogError: There is no catalogue.
    """
    tables = [(title, query(dataset, sql)) for title, sql in STATISTICS.items()]
    return [(title, rows) for title, rows in tables if len(rows)]


def open_catalog(dataset: Dataset) -> duckdb.DuckDBPyConnection:
    """Opens the catalogue for reading; whoever opens it closes it.

    Raises:
        CatalogError: There is no catalogue, or it is damaged.
    """
    path = dataset.catalog_path
    if not path.exists():
        raise CatalogError(f"{path} does not exist yet; run `sa-pipeline run SOURCE --output {path.parent}` first.")
    try:
        return duckdb.connect(str(path), read_only=True)
    except duckdb.Error as error:
        raise CatalogError(f"{path} cannot be opened: {error}; delete it and materialize catalog again.") from None
