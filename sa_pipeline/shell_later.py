"""Commands whose code is loaded when they are called, so that `sa-pipeline --help` does not wait for it."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand
from typer.main import get_command, get_group


class LaterCommand(TyperCommand):
    """Stands for a command, or a group of commands, until it is called.

    Args:
        name: As it is called.
        module: Where it is.
        attribute: Its function or `typer.Typer` there.
        summary: Its line in the list of commands.
    """

    def __init__(self, name: str, module: str, attribute: str, summary: str) -> None:
        super().__init__(name, help=summary)
        self._module, self._attribute = module, attribute

    def load(self) -> Any:
        """The command itself."""
        found = getattr(import_module(self._module), self._attribute)
        if isinstance(found, typer.Typer):
            group = get_group(found)
            group.help = self.help
            return group
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command()(found)
        return get_command(alone)

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """That of the command itself, which is called by it."""
        return self.load().make_context(*args, **kwargs)
