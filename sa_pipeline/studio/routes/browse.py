"""Pictures with their masks, to look at."""

from typing import Annotated

from fastapi import APIRouter, Query

from sa_pipeline.studio.browsing import MaskFilter, PageFilter, browse_images, browse_masks
from sa_pipeline.studio.models import BrowsedImages, BrowsedMask
from sa_pipeline.studio.workplace import AnyPerson, Here, ImageNumber

router = APIRouter(prefix="/browse", tags=["browse"])


@router.get("/images")
def list_images(here: Here, person: AnyPerson, page: Annotated[PageFilter, Query()]) -> BrowsedImages:
    """The pictures that have masks which pass the filter."""
    return browse_images(here.studio, here.pictures, person, page)


@router.get("/images/{image_id}/masks")
def list_masks(
    here: Here, person: AnyPerson, image_id: ImageNumber, wanted: Annotated[MaskFilter, Query()]
) -> list[BrowsedMask]:
    """The masks of a picture that pass the filter."""
    return browse_masks(here.studio, here.pictures, person, image_id, wanted)
