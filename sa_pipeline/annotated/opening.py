"""Which reader a source of annotated images needs."""

from pathlib import Path

from sa_pipeline.annotated.coco import CocoSource
from sa_pipeline.annotated.image import AnnotatedSource
from sa_pipeline.annotated.label_maps import LabelMapSource
from sa_pipeline.annotated.sa1b_tars import Sa1bSource
from sa_pipeline.errors import AnnotationError
from sa_pipeline.storage import Storage


def open_annotated(source: str | Path, references: str | Path | None = None) -> AnnotatedSource:
    """Opens a source of images with reference masks.

    Args:
        source: An SA-1B tar or a folder of such, also by an fsspec URL (`s3://bucket/ds/sa1b_export`); or, with
            `references`, a folder of images.
        references: COCO's instance file (.json), or a folder of label maps named as the images (.mat as in BSDS500,
            or .png).

    Raises:
        SaPipelineError: Something is missing, damaged or of another format; the text names it.
    """
    if references is None and "://" in str(source):
        return Sa1bSource(_tars_at(str(source)))
    images = Path(source).expanduser()
    if not images.exists():
        raise AnnotationError(f"{images} does not exist; expected SA-1B tars or a folder of images.")
    if references is None:
        tars = sorted(images.glob("*.tar")) if images.is_dir() else [images]
        if not tars or tars[0].suffix != ".tar":
            raise AnnotationError(
                f"{images}: expected SA-1B tars; for other images, name their references: COCO's instance file "
                "or a folder of label maps."
            )
        return Sa1bSource(tars)
    masks = Path(references).expanduser()
    if masks.is_dir():
        return LabelMapSource(images, masks)
    if masks.suffix == ".json":
        return CocoSource(images, masks)
    raise AnnotationError(f"{masks}: expected COCO's instance file (.json) or a folder of label maps.")


def _tars_at(url: str) -> list[str]:
    if url.endswith(".tar"):
        return [url]
    storage = Storage(url)
    tars = [storage.url_of(name) for name in storage.list("", ".tar")]
    if not tars:
        raise AnnotationError(f"{url}: expected SA-1B tars; check the address.")
    return tars
