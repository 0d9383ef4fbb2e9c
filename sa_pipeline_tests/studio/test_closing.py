"""A closed round hands nothing out, and gives up what nobody finished."""

import pytest
import sqlalchemy as sa

from sa_pipeline.errors import StudioError
from sa_pipeline.studio.closing import close_round
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.models import Role, TaskState, Tool
from sa_pipeline.studio.queue import lease_next, skip_task
from sa_pipeline.studio.refusals import RefusedError
from sa_pipeline.studio.rounds import find_round
from sa_pipeline.studio.schema import tasks
from sa_pipeline.studio.snapshot import accepted_masks
from sa_pipeline_tests.studio.work import accept_all, add_person, begin, thing


def round_of(studio, name: str):
    with studio.read() as connection:
        return find_round(connection, name)


def test_closing_keeps_what_was_accepted_and_frees_the_images_of_the_rest(studio) -> None:
    fill_queue(studio, "assisted-1")
    ada, grace = add_person(studio, "Ada"), add_person(studio, "Grace", Role.REVIEWER)
    done = begin(studio, ada)
    done.do((Tool.BRUSH, thing(done.rectangle(10, 20, 30, 40))))
    done.finish()
    with pytest.raises(StudioError, match="Round assisted-1: 1 finished tasks wait for review; review them first, or"):
        close_round(studio, "assisted-1")
    assert round_of(studio, "assisted-1").is_open
    accept_all(studio, grace, 1)
    begun = begin(studio, ada)
    begun.do((Tool.BRUSH, thing(begun.rectangle(10, 20, 30, 40))))
    assert not round_of(studio, "assisted-1").is_done

    assert close_round(studio, "assisted-1") == 3
    assert close_round(studio, "assisted-1") == 0
    closed = round_of(studio, "assisted-1")
    assert (closed.is_open, closed.is_done) == (False, True)
    assert closed.tasks == {TaskState.ACCEPTED: 1, TaskState.SKIPPED: 3}
    assert list(accepted_masks(studio, "assisted-1")) == [done.task_id]
    with pytest.raises(RefusedError) as refused:
        begun.do((Tool.BRUSH, thing(begun.rectangle(10, 20, 30, 40))))
    assert refused.value.code == "lease_lost"
    with pytest.raises(RefusedError) as empty:
        lease_next(studio, ada)
    assert empty.value.code == "queue_empty"
    with pytest.raises(StudioError, match="Round assisted-1 is closed; name another round"):
        fill_queue(studio, "assisted-1")

    report = fill_queue(studio, "assisted-2")
    assert (report.counts["images"], report.counts["in_other_round"]) == (3, 1)


def test_an_image_that_a_person_skipped_is_not_handed_out_again(studio) -> None:
    fill_queue(studio, "assisted-1", images={1})
    ada = add_person(studio, "Ada")
    work = begin(studio, ada)
    skip_task(studio, ada, work.task_id, work.lease_token, "too blurry")
    assert round_of(studio, "assisted-1").is_done
    close_round(studio, "assisted-1")
    assert fill_queue(studio, "assisted-2", images={1}).counts["in_other_round"] == 1


def test_finished_work_may_be_given_up_too(studio) -> None:
    fill_queue(studio, "assisted-1", images={1})
    ada = add_person(studio, "Ada")
    work = begin(studio, ada)
    work.do((Tool.BRUSH, thing(work.rectangle(10, 20, 30, 40))))
    work.finish()
    assert close_round(studio, "assisted-1", give_up_reviews=True) == 1
    with studio.read() as connection:
        assert connection.scalar(sa.select(tasks.c.version)) == 1
    with pytest.raises(StudioError, match="There is no annotation round assisted-9; there are: assisted-1"):
        close_round(studio, "assisted-9")
