"""Who may work in the studio: annotators, their personal tokens, and their sessions.

Tokens and session secrets are random and long, so that a plain hash of them may be kept: there is nothing to guess.
"""

import getpass
import hashlib
import secrets
from dataclasses import dataclass

import sqlalchemy as sa

from sa_pipeline.errors import StudioError
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.models import Annotator, Role
from sa_pipeline.studio.schema import annotators, sessions

PIPELINE = "sa_pipeline"
"""Named as the author of what no person made, such as pre-filled masks."""

_SECRET_BYTES = 32
_MAX_NAME = 100
_RANKS = tuple(Role)

# Asked with every request.
_SESSION = (
    sa.select(annotators, sessions.c.csrf_token)
    .join(sessions)
    .where(
        sessions.c.session_hash == sa.bindparam("hash"),
        sessions.c.expires_at > sa.bindparam("now"),
        annotators.c.active,
    )
)
_OWNER = sa.select(annotators).where(annotators.c.token_hash == sa.bindparam("hash"), annotators.c.active)


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in."""

    annotator_id: int
    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether the person may do what that role may."""
        return _RANKS.index(self.role) >= _RANKS.index(role)

    @property
    def annotator(self) -> Annotator:
        """As it travels."""
        return Annotator(annotator_id=self.annotator_id, name=self.name, role=self.role)


@dataclass(frozen=True)
class OpenSession:
    """A browser in which a person is signed in."""

    person: Person
    csrf_token: str


def add_annotator(studio: Studio, name: str, role: Role = Role.ANNOTATOR) -> str:
    """Adds a person.

    Returns:
        The personal token; only its hash is kept.

    Raises:
        StudioError: The name is taken, empty or too long.
    """
    token = _new_secret()
    row = {"name": _checked(name), "role": role.value, "token_hash": _hash(token), "created_at": studio.clock()}

    def add(connection: sa.Connection) -> None:
        if connection.scalar(sa.select(annotators.c.annotator_id).where(annotators.c.name == row["name"])):
            raise StudioError(
                f"There is an annotator {row['name']!r} already; `sa-pipeline annotators token` makes a new token."
            )
        connection.execute(annotators.insert().values(row))

    studio.write(add)
    return token


def renew_token(studio: Studio, name: str) -> str:
    """Gives a person a new token: the old one no longer holds, open sessions end, and a disabled person may work again.

    Raises:
        StudioError: There is no such person.
    """
    token = _new_secret()

    def renew(connection: sa.Connection) -> None:
        annotator_id = _id_of(connection, name)
        _end_sessions(connection, annotator_id)
        _update(connection, annotator_id, token_hash=_hash(token), active=True)

    studio.write(renew)
    return token


def disable_annotator(studio: Studio, name: str) -> None:
    """Signs a person out for good; what the person made stays.

    Raises:
        StudioError: There is no such person.
    """

    def disable(connection: sa.Connection) -> None:
        annotator_id = _id_of(connection, name)
        _end_sessions(connection, annotator_id)
        _update(connection, annotator_id, active=False)

    studio.write(disable)


def list_annotators(studio: Studio) -> list[Annotator]:
    """All people, disabled ones too, by name."""
    with studio.read() as connection:
        rows = connection.execute(sa.select(annotators).order_by(annotators.c.name))
        return [
            Annotator(annotator_id=row.annotator_id, name=row.name, role=Role(row.role), active=row.active)
            for row in rows
        ]


def ensure_local_lead(studio: Studio) -> tuple[str, str]:
    """Makes sure that the user of this machine is a lead; sessions that are open stay open.

    Returns:
        Name and a new personal token.
    """
    name = _checked(getpass.getuser())
    token = _new_secret()

    def ensure(connection: sa.Connection) -> None:
        known = connection.scalar(sa.select(annotators.c.annotator_id).where(annotators.c.name == name))
        if known is None:
            row = {"name": name, "role": Role.LEAD.value, "token_hash": _hash(token), "created_at": studio.clock()}
            connection.execute(annotators.insert().values(row))
        else:
            _update(connection, known, role=Role.LEAD.value, token_hash=_hash(token), active=True)

    studio.write(ensure)
    return name, token


def sign_in(studio: Studio, token: str) -> tuple[str, OpenSession] | None:
    """Opens a session for the owner of a personal token.

    Returns:
        The session's secret, which goes into the cookie, and the session; None when nobody has that token.
    """
    person = person_of_token(studio, token)
    if person is None:
        return None
    secret, csrf_token = _new_secret(), _new_secret()
    now = studio.clock()
    row = {
        "session_hash": _hash(secret),
        "csrf_token": csrf_token,
        "annotator_id": person.annotator_id,
        "expires_at": now + 3600 * studio.settings.session_hours,
    }

    def open_session(connection: sa.Connection) -> None:
        connection.execute(sessions.delete().where(sessions.c.expires_at <= now))
        connection.execute(sessions.insert().values(row))

    studio.write(open_session)
    return secret, OpenSession(person, csrf_token)


def sign_out(studio: Studio, secret: str) -> None:
    """Ends a session."""
    ended = sessions.delete().where(sessions.c.session_hash == _hash(secret))
    studio.write(lambda connection: connection.execute(ended))


def session_of(studio: Studio, secret: str) -> OpenSession | None:
    """The session of a cookie's secret; None when there is none, or it has expired."""
    with studio.read() as connection:
        row = connection.execute(_SESSION, {"hash": _hash(secret), "now": studio.clock()}).one_or_none()
    return OpenSession(_person(row), row.csrf_token) if row else None


def person_of_token(studio: Studio, token: str) -> Person | None:
    """The owner of a personal token; None when nobody has it, or may not work any more."""
    with studio.read() as connection:
        row = connection.execute(_OWNER, {"hash": _hash(token)}).one_or_none()
    return _person(row) if row else None


def _person(row: sa.Row[tuple[object, ...]]) -> Person:
    return Person(row.annotator_id, row.name, Role(row.role))


def _checked(name: str) -> str:
    name = name.strip()
    if not name or len(name) > _MAX_NAME or not name.isprintable() or name == PIPELINE:
        raise StudioError(
            f"{name[:_MAX_NAME]!r} cannot be an annotator's name; expected 1 to {_MAX_NAME} printable characters, "
            f"and not {PIPELINE!r}."
        )
    return name


def _id_of(connection: sa.Connection, name: str) -> int:
    annotator_id = connection.scalar(sa.select(annotators.c.annotator_id).where(annotators.c.name == name.strip()))
    if annotator_id is None:
        raise StudioError(f"There is no annotator {name!r}; `sa-pipeline annotators list` shows them.")
    return annotator_id


def _update(connection: sa.Connection, annotator_id: int, **values: object) -> None:
    connection.execute(annotators.update().where(annotators.c.annotator_id == annotator_id).values(values))


def _end_sessions(connection: sa.Connection, annotator_id: int) -> None:
    connection.execute(sessions.delete().where(sessions.c.annotator_id == annotator_id))


def _new_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
