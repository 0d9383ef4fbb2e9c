"""The page's types, written from `models.py`, so that the two cannot differ.

`python -m sa_pipeline.studio.typescript` writes them.
"""

import enum
import inspect
import types
import typing
import uuid
from pathlib import Path

from pydantic import BaseModel

from sa_pipeline.studio import models

TYPES_PATH = Path(__file__).parent / "web" / "src" / "api" / "types.ts"

_HEADER = """// From sa_pipeline/studio/models.py, by `python -m sa_pipeline.studio.typescript`; a test compares them.
// Every field is there in both directions: the server sends them all, and so does the page.
"""
_PRIMITIVES = {str: "string", uuid.UUID: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


def typescript() -> str:
    """All models of `models.py` as TypeScript source, in their order, ending in a newline."""
    parts = [_HEADER]
    for name, value in vars(models).items():
        if name.startswith("MAX_"):
            parts.append(f"export const {name} = {value};\n")
        elif not inspect.isclass(value) or value.__module__ != models.__name__ or name.startswith("_"):
            continue
        elif issubclass(value, enum.Enum):
            parts.append(_union(value))
        elif issubclass(value, BaseModel):
            parts.append(_interface(value))
    return "\n".join(parts)


def write_types(path: Path = TYPES_PATH) -> None:
    """Writes `typescript()` to path (UTF-8)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(typescript(), encoding="utf-8")


def _union(choices: type[enum.Enum]) -> str:
    values = " | ".join(f"'{choice.value}'" for choice in choices)
    return f"{_comment(choices)}export type {choices.__name__} = {values};\n"


def _interface(model: type[BaseModel]) -> str:
    base = model.__bases__[0]
    inherited = base.__name__ if not base.__name__.startswith("_") else None
    own = {name: field for name, field in model.model_fields.items() if name in model.__annotations__}
    lines = []
    for name, field in own.items():
        if field.description:
            lines.append(f"  /** {field.description} */\n")
        lines.append(f"  {name}: {_type(model.__annotations__[name])};\n")
    extends = f" extends {inherited}" if inherited else ""
    return f"{_comment(model)}export interface {model.__name__}{extends} {{\n{''.join(lines)}}}\n"


def _comment(described: type) -> str:
    first_line = (described.__doc__ or "").strip().partition("\n")[0]
    return f"/** {first_line} */\n"


def _type(annotation: typing.Any) -> str:
    """A Python annotation in TypeScript.

    Raises:
        TypeError: for a kind of annotation that `models.py` did not use so far.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return " | ".join(f"'{value}'" if isinstance(value, str) else str(value) for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_type(argument) for argument in arguments)
    if origin is list:
        element = _type(arguments[0])
        return f"({element})[]" if " | " in element else f"{element}[]"
    if origin is tuple:
        return f"[{', '.join(_type(argument) for argument in arguments)}]"
    if origin is dict:
        return f"Partial<Record<{_type(arguments[0])}, {_type(arguments[1])}>>"
    if annotation in _PRIMITIVES:
        return _PRIMITIVES[annotation]
    if inspect.isclass(annotation) and annotation.__module__ == models.__name__:
        return annotation.__name__
    msg = f"{annotation!r} has no counterpart in sa_pipeline.studio.typescript; say there how the page shall see it"
    raise TypeError(msg)


if __name__ == "__main__":
    write_types()
