"""A shard on an S3 that errs, stalls, breaks connections and sends half of what it should."""

from sa_pipeline.runs import ensure_dagster_home, run_shard
from sa_pipeline_tests.faults.conftest import digests
from sa_pipeline_tests.s3_faults import Fault

FAULTS = [
    Fault(kind="error", status=500, code="InternalError", share=0.05),
    Fault(kind="error", status=503, code="SlowDown", share=0.05),
    Fault(kind="reset", share=0.02),
    Fault(kind="reset", share=0.02, done=True),
    Fault(kind="truncate", method="GET", share=0.05),
    Fault(kind="slow", seconds=0.3, share=0.05),
]


def test_a_shard_on_a_failing_s3_is_that_of_a_disk(s3, new_dataset, undisturbed) -> None:
    dataset = new_dataset("home", storage_url=f"{s3.url}/data")
    s3.fail(*FAULTS)
    with ensure_dagster_home(dataset) as instance:
        outcome = run_shard(dataset, "000000", instance)
    befell = {request.fault for request in s3.requests()}
    s3.server.heal()
    assert outcome.success, outcome.error
    assert befell >= {"error", "reset", "truncate", "slow"}
    assert digests(dataset, ["000000"]) == digests(undisturbed, ["000000"])
    assert s3.open_uploads() == []
