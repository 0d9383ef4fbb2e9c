"""`sa-pipeline annotators`: who may work in a dataset's annotation studio."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sa_pipeline.dataset import open_dataset
from sa_pipeline.shell_options import HomeOption
from sa_pipeline.studio.database import Studio, open_studio
from sa_pipeline.studio.models import Role
from sa_pipeline.studio.people import add_annotator, disable_annotator, list_annotators, renew_token

annotators_app = typer.Typer(no_args_is_help=True)
console = Console()

_Name = Annotated[str, typer.Argument(help="As it stands beside what the person makes.")]


@annotators_app.command("add")
def add(
    name: _Name,
    home: HomeOption = None,
    role: Annotated[Role, typer.Option(help="Each may do what the one before may.")] = Role.ANNOTATOR,
) -> None:
    """Adds a person and prints the personal token, which is shown only this once.

    Example: sa-pipeline annotators add "Ada Lovelace" --role reviewer
    """
    with _studio(home) as studio:
        _print_token(name, add_annotator(studio, name, role))


@annotators_app.command("list")
def list_all(home: HomeOption = None) -> None:
    """Lists the people and what they may do.

    Example: sa-pipeline annotators list
    """
    table = Table("name", "role", "may work")
    with _studio(home) as studio:
        for person in list_annotators(studio):
            table.add_row(Text(person.name), person.role.value, "yes" if person.active else "no")
    console.print(table)


@annotators_app.command("disable")
def disable(name: _Name, home: HomeOption = None) -> None:
    """Signs a person out for good; what the person made stays.

    Example: sa-pipeline annotators disable "Ada Lovelace"
    """
    with _studio(home) as studio:
        disable_annotator(studio, name)
    console.print(f"{name} may not work here any more.", markup=False)


@annotators_app.command("token")
def token(name: _Name, home: HomeOption = None) -> None:
    """Prints a new personal token; the old one no longer holds, and who was disabled may work again.

    Example: sa-pipeline annotators token "Ada Lovelace"
    """
    with _studio(home) as studio:
        _print_token(name, renew_token(studio, name))


@contextlib.contextmanager
def _studio(home: Path | None) -> Iterator[Studio]:
    studio = open_studio(open_dataset(home))
    try:
        yield studio
    finally:
        studio.close()


def _print_token(name: str, secret: str) -> None:
    console.print(f"The personal token of {name}, shown only now:", markup=False, soft_wrap=True)
    # Alone on its line, so that it can be copied.
    console.print(secret, markup=False, highlight=False, soft_wrap=True)
