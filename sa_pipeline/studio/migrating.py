"""Brings a database to the tables of this version of the program."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError

from sa_pipeline.errors import StudioError

_SCRIPTS = Path(__file__).parent / "migrations"

_LOCK = 0x5A5A_0001
"""Number of the lock under which PostgreSQL is migrated; any number that nobody else takes."""


def migrate(engine: sa.Engine, schema: str | None = None) -> None:
    """Runs the migrations that a database lacks, all or none of them; of two processes at once, one waits.

    Args:
        engine: Of the database.
        schema: Of PostgreSQL, made if there is none; the engine's connections look for tables there.

    Raises:
        StudioError: The database was made by a newer version of this program.
    """
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        if schema is not None:
            connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StudioError(
                f"The studio's database {engine.url.render_as_string()} is not one of this version ({error}); "
                "update sa_pipeline."
            ) from error
