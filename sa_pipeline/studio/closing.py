"""Closing a round: nothing more is handed out, and what nobody finished is given up."""

import sqlalchemy as sa

from sa_pipeline.errors import StudioError
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.models import TaskState
from sa_pipeline.studio.new_tasks import lock_queue
from sa_pipeline.studio.rounds import CLOSED, GIVEN_UP, read_round
from sa_pipeline.studio.schema import rounds, tasks

_UNFINISHED = (TaskState.OPEN, TaskState.SENT_BACK)


def close_round(studio: Studio, round_name: str, *, give_up_reviews: bool = False) -> int:
    """Closes a round; a closed one stays so.

    Tasks that nobody finished are skipped and their leases end, so that a page that still holds one is told so. Their
    images are free for other rounds. What was saved in them stays in the database.

    Args:
        studio: The studio.
        round_name: Of the round.
        give_up_reviews: Also finished tasks that nobody has reviewed; otherwise the round stays open for these.

    Returns:
        Tasks that were given up.

    Raises:
        StudioError: There is no such round, or finished tasks wait for review.
    """

    def close(connection: sa.Connection) -> int:
        lock_queue(connection)
        found = read_round(connection, round_name)
        waiting = found.tasks.get(TaskState.FINISHED, 0)
        if waiting and not give_up_reviews:
            raise StudioError(
                f"Round {round_name}: {waiting} finished tasks wait for review; review them first, or close the round "
                "without them: --give-up-reviews."
            )
        states = (*_UNFINISHED, TaskState.FINISHED) if give_up_reviews else _UNFINISHED
        ended = {"holder_id": None, "lease_token": None, "lease_until": None}
        given_up = connection.execute(
            tasks.update()
            .where(tasks.c.round == round_name, tasks.c.state.in_([state.value for state in states]))
            .values(state=TaskState.SKIPPED.value, skip_reason=GIVEN_UP, **ended)
        ).rowcount
        connection.execute(rounds.update().where(rounds.c.name == round_name).values(state=CLOSED))
        return int(given_up)

    return studio.write(close)
