"""Requests that are not granted: each with its HTTP status, a word for programs and a sentence for people."""

from sa_pipeline.errors import StudioError
from sa_pipeline.studio.models import Role, TaskState


class RefusedError(StudioError):
    """A request is not granted; nothing was changed.

    Attributes:
        status: Of HTTP.
        code: One word for programs.
        version: Of the task, where it matters.
    """

    def __init__(self, status: int, code: str, sentence: str, version: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.version = version


def not_signed_in() -> RefusedError:
    """Nobody is signed in, or no longer."""
    return RefusedError(401, "not_signed_in", "You are not signed in; sign in with your personal token.")


def not_found(what: str) -> RefusedError:
    """There is no such thing."""
    return RefusedError(404, "not_found", f"There is no {what}.")


def role_needed(role: Role) -> RefusedError:
    """The person may not do this."""
    return RefusedError(403, "role_needed", f"Only a {role.value} may do this.")


def not_yours(task_id: int) -> RefusedError:
    """The task is another person's."""
    return RefusedError(403, "not_yours", f"Task {task_id} is another person's.")


def invalid(sentence: str) -> RefusedError:
    """The content of the request is wrong; the sentence names the field."""
    return RefusedError(422, "invalid", sentence)


def queue_empty(sentence: str) -> RefusedError:
    """There is no task to hand out."""
    return RefusedError(404, "queue_empty", sentence)


def pilot_running(left: int) -> RefusedError:
    """The round's pilot tasks are not accepted yet."""
    return RefusedError(
        409,
        "pilot_running",
        f"The team is still trying the round out; {left} pilot tasks are not accepted yet. Come back later.",
    )


def lease_lost(task_id: int, version: int) -> RefusedError:
    """Another page or person has the task now."""
    return RefusedError(
        409,
        "lease_lost",
        f"Task {task_id} is no longer in your hands here: it was opened elsewhere, closed, or given to another person.",
        version,
    )


def held_by_other(task_id: int, name: str) -> RefusedError:
    """Somebody works on the task right now."""
    return RefusedError(409, "held_by_other", f"{name} works on task {task_id} right now; try again later.")


def stale_version(task_id: int, base: int, version: int) -> RefusedError:
    """The change builds on a state that has been left behind."""
    return RefusedError(
        409,
        "stale_version",
        f"Task {task_id} is at version {version}, and the change builds on version {base}; load the task again.",
        version,
    )


def wrong_state(task_id: int, state: TaskState, version: int) -> RefusedError:
    """The task's state does not allow it."""
    words = state.value.replace("_", " ")
    return RefusedError(409, "wrong_state", f"Task {task_id} is {words}, so this cannot be done with it.", version)
