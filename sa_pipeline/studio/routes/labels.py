"""Labels that were used before."""

from typing import Annotated

from fastapi import APIRouter, Query

from sa_pipeline.studio.models import LabelUse
from sa_pipeline.studio.workplace import AnyPerson, Here

router = APIRouter(tags=["labels"])


@router.get("/labels")
def list_labels(
    here: Here,
    _person: AnyPerson,
    prefix: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> list[LabelUse]:
    """Labels that begin so, those used most first."""
    return here.labels.beginning(prefix, limit)
