"""Labels that were used before, offered while one types."""

import threading
import time

import sqlalchemy as sa

from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.models import Kind, LabelUse
from sa_pipeline.studio.schema import objects

KEPT_SECONDS = 5.0
"""How old an answer may be: to count all labels takes long in a large database, and people type fast."""


class Labels:
    """The labels of a studio; may be used from several threads."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._lock = threading.Lock()
        self._uses: list[LabelUse] = []
        self._counted_at = -KEPT_SECONDS

    def beginning(self, prefix: str, limit: int) -> list[LabelUse]:
        """Labels that begin so, whatever their case, those used most first; with the kind they are mostly used with."""
        start = prefix.strip().casefold()
        return [use for use in self._all() if use.label.casefold().startswith(start)][:limit]

    def _all(self) -> list[LabelUse]:
        with self._lock:
            if time.monotonic() - self._counted_at > KEPT_SECONDS:
                self._uses = self._count()
                self._counted_at = time.monotonic()
            return self._uses

    def _count(self) -> list[LabelUse]:
        uses = sa.func.count()
        query = (
            sa.select(objects.c.label, objects.c.kind, uses.label("uses"))
            .where(~objects.c.deleted, objects.c.label != "")
            .group_by(objects.c.label, objects.c.kind)
            .order_by(uses.desc())
        )
        found: dict[str, LabelUse] = {}
        with self._studio.read() as connection:
            for row in connection.execute(query):
                known = found.get(row.label)
                kind = known.kind if known else Kind(row.kind)
                found[row.label] = LabelUse(label=row.label, kind=kind, uses=row.uses + (known.uses if known else 0))
        return sorted(found.values(), key=lambda use: (-use.uses, use.label))
