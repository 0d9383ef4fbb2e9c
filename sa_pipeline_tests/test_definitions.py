"""What Dagster sees when it loads the code."""

import subprocess
import sys

from sa_pipeline.definitions import FLOW, defs

EDGES = {
    "current_checkpoint": set(),
    "current_detector": set(),
    "raw_images": set(),
    "deidentified_images": {"raw_images"},
    "image_embeddings": {"raw_images", "deidentified_images", "current_checkpoint"},
    "candidate_masks": {"raw_images", "deidentified_images", "image_embeddings"},
    "filtered_masks": {"candidate_masks"},
    "deduplicated_masks": {"candidate_masks", "filtered_masks"},
    "sa1b_export": {"raw_images", "deidentified_images", "deduplicated_masks"},
    "prefilled_masks": {"image_embeddings", "current_detector"},
    "annotation_tasks": {"image_embeddings", "deduplicated_masks", "prefilled_masks"},
    "human_masks": {"annotation_tasks"},
    "training_set": {"human_masks"},
    "sam_checkpoint": {"training_set"},
    "promoted_checkpoint": {"sam_checkpoint"},
    "object_detector": {"human_masks"},
    "mask_quality_audit": {"human_masks"},
    "mask_verifier": {"human_masks"},
    "round_report": {"human_masks", "sam_checkpoint", "object_detector", "mask_quality_audit"},
    "catalog": {
        "sa1b_export",
        "human_masks",
        "training_set",
        "sam_checkpoint",
        "promoted_checkpoint",
        "object_detector",
        "prefilled_masks",
        "mask_quality_audit",
        "round_report",
    },
    "dataset_card": {"catalog", "sa1b_export"},
}


def test_the_assets_depend_on_each_other_as_the_paper_says() -> None:
    graph = defs.resolve_asset_graph()
    edges = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert edges == EDGES
    assert [asset.key.to_user_string() for asset in FLOW] == list(EDGES)[2:]


def test_no_shard_starts_by_itself_until_somebody_switches_it_on_but_the_catalogue_follows() -> None:
    repository = defs.get_repository_def()
    for name in ("catalog_after_shards", "missed_retries"):
        assert repository.get_sensor_def(name).default_status.value == "RUNNING"
    for name in ("new_images", "nightly_backfill", "round_done"):
        assert repository.get_sensor_def(name).default_status.value == "STOPPED"
    assert repository.get_schedule_def("weekly_verification").default_status.value == "STOPPED"


def test_definitions_load_without_torch() -> None:
    code = "import sys, sa_pipeline.definitions; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0
