"""Files that were cut or lost after they had been published."""

from sa_pipeline.artifacts import artifact_name, export_tar_name
from sa_pipeline.provenance import Freshness, shard_assets, shard_freshness
from sa_pipeline.resources import DatasetResource
from sa_pipeline.runs import ensure_dagster_home, run_shard
from sa_pipeline.settings import PipelineSettings
from sa_pipeline_tests.faults.conftest import digests

SHARD = "000001"
FILES = [*(artifact_name(asset, SHARD) for asset in shard_assets(PipelineSettings())), export_tar_name(SHARD)]


def test_each_file_that_is_cut_or_lost_is_found_and_made_again_byte_for_byte(copied) -> None:
    before = digests(copied)
    checkpoint = DatasetResource(home=str(copied.home)).checkpoint()
    for name in FILES:
        path = copied.home / name
        whole = path.read_bytes()
        for left in (len(whole) * 9 // 10, len(whole) // 2, 0):
            path.write_bytes(whole[:left])
            states = shard_freshness(copied, SHARD, checkpoint).values()
            assert Freshness.STALE in states, f"{left} bytes of {name}"
        path.unlink()
        assert {Freshness.STALE, Freshness.MISSING} & set(shard_freshness(copied, SHARD, checkpoint).values()), name
        if name != FILES[-1]:
            path.write_bytes(whole[: len(whole) // 2])
    with ensure_dagster_home(copied) as instance:
        outcome = run_shard(copied, SHARD, instance)
    assert outcome.success, outcome.error
    assert digests(copied) == before
