"""The catalogue says what the files say, and readers and builders never lock each other out."""

from pathlib import Path

import duckdb
import pytest

from sa_pipeline.catalog.build import build_catalog
from sa_pipeline.catalog.lineage import LINEAGE_MEANINGS, MACRO_MEANINGS
from sa_pipeline.catalog.query import query, statistics
from sa_pipeline.catalog.schema import COLUMN_COMMENTS, VIEW_MEANINGS
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import CatalogError
from sa_pipeline.images.ledger import append_new_images
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.stages.candidate_masks import make_candidate_masks
from sa_pipeline.stages.deduplicated_masks import make_deduplicated_masks
from sa_pipeline.stages.filtered_masks import make_filtered_masks
from sa_pipeline.stages.image_embeddings import make_image_embeddings
from sa_pipeline.stages.raw_images import make_raw_images

DOCUMENT = Path(__file__).parents[2] / "docs" / "catalog.md"


@pytest.fixture
def begun(dataset: Dataset, tiny: LoadedModel) -> Dataset:
    """The first shard is deduplicated, the second only read."""
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    make_raw_images(dataset, "000000")
    make_raw_images(dataset, "000001")
    make_image_embeddings(dataset, "000000", tiny)
    make_candidate_masks(dataset, "000000", tiny)
    make_filtered_masks(dataset, "000000")
    make_deduplicated_masks(dataset, "000000")
    return dataset


def test_counts_agree_with_the_files_also_of_a_shard_that_is_only_begun(begun) -> None:
    counts = build_catalog(begun).counts
    assert (counts["shards"], counts["images"], counts["artifacts"]) == (2, 6, 6)
    assert counts["candidates"] == counts["verdicts"]
    funnel = query(begun, "SELECT * FROM funnel").set_index("step")["masks"].to_dict()
    assert funnel.pop("proposals") == sum(funnel.values())
    assert funnel["kept"] == counts["masks"]
    outside = "center_x NOT BETWEEN 0 AND 1 OR center_y NOT BETWEEN 0 AND 1 OR relative_size NOT BETWEEN 0 AND 1"
    assert query(begun, f"SELECT count(*) FROM masks WHERE {outside}").iloc[0, 0] == 0


def test_every_table_and_column_has_a_comment_and_stands_in_the_documentation(begun) -> None:
    build_catalog(begun)
    text = DOCUMENT.read_text(encoding="utf-8")
    columns = query(begun, "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal")
    tables = columns[columns["table_name"].isin(list(COLUMN_COMMENTS))]
    assert set(tables["table_name"]) == set(COLUMN_COMMENTS)
    assert tables["comment"].notna().all()
    assert query(begun, "SELECT count(*) FROM duckdb_tables() WHERE comment IS NULL").iloc[0, 0] == 0
    for table, column, comment in tables.itertuples(index=False):
        section = text.split(f"### `{table}`")[1].split("###")[0]
        assert f"| `{column}` | {comment} |" in section
    assert set(columns["table_name"]) - set(COLUMN_COMMENTS) == set(VIEW_MEANINGS) | set(LINEAGE_MEANINGS)
    for view in (*VIEW_MEANINGS, *LINEAGE_MEANINGS):
        assert f"| `{view}` |" in text
        query(begun, f"SELECT * FROM {view}")
    macros = query(begun, "SELECT function_name, comment FROM duckdb_functions() WHERE NOT internal")
    assert dict(macros.itertuples(index=False)) == dict(MACRO_MEANINGS)
    for macro, meaning in MACRO_MEANINGS.items():
        assert f"| `{macro}(" in text
        assert meaning in text


def test_a_reader_keeps_its_catalogue_while_another_is_built(begun) -> None:
    build_catalog(begun)
    with duckdb.connect(str(begun.catalog_path), read_only=True) as reader:
        build_catalog(begun)
        assert reader.execute("SELECT count(*) FROM images").fetchall() == [(6,)]
    assert [path.name for path in begun.home.glob("*catalog*")] == ["catalog.duckdb"]


def test_statistics_hold_the_funnel_and_the_rejected_files(begun) -> None:
    build_catalog(begun)
    tables = dict(statistics(begun))
    assert tables["Rejected files"].to_dict("records") == [{"reason": "not_an_image", "files": 1}]
    assert "proposals" in tables["From proposal to mask"]["step"].tolist()


def test_the_catalogue_cannot_be_changed_by_a_query_and_mistakes_are_named(begun) -> None:
    with pytest.raises(CatalogError, match="does not exist yet; run `sa-pipeline run"):
        query(begun, "SELECT 1")
    build_catalog(begun)
    with pytest.raises(CatalogError, match="read-only"):
        query(begun, "DROP TABLE runs")
    with pytest.raises(CatalogError, match=r"The query failed: .*nothing"):
        query(begun, "SELECT nothing FROM images")
