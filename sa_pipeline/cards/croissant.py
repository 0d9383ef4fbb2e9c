"""Croissant 1.1 metadata of an export, so that machine-learning libraries and search engines can read it.

The format is MLCommons' (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from sa_pipeline.cards.facts import Facts
from sa_pipeline.settings import CardSettings

Json = dict[str, Any]

CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "key": "cr:key",
    "md5": "cr:md5",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{
        term: f"cr:{term}"
        for term in (
            "arrayShape",
            "citeAs",
            "column",
            "containedIn",
            "equivalentProperty",
            "extract",
            "field",
            "fileObject",
            "fileProperty",
            "fileSet",
            "format",
            "includes",
            "isArray",
            "isLiveDataset",
            "jsonPath",
            "parentField",
            "path",
            "recordSet",
            "references",
            "regex",
            "repeated",
            "replace",
            "samplingRate",
            "separator",
            "source",
            "subField",
            "transform",
        )
    },
}
"""The terms of Croissant, as its readers expect them."""

JPEGS = "jpegs"
RECORDS = "records"


@dataclass(frozen=True)
class TarFile:
    """A tar of the export: its URL, or its path relative to the metadata's file; its bytes and their SHA-256."""

    url: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """Without the folders."""
        return PurePosixPath(self.url).name


def croissant(facts: Facts, stated: CardSettings, tars: Sequence[TarFile]) -> bytes:
    """Describes an export: its tars, and images and masks with their fields.

    Args:
        facts: What the dataset's files say.
        stated: What its owner says; without a title, the counts are its name.
        tars: Where the export lies.

    Returns:
        JSON-LD; equal arguments give equal bytes.
    """
    images, masks, making = facts.images, facts.masks, facts.making
    description = stated.description or (
        f"{masks.count} segmentation masks on {images.count} images, made by the automatic stage of Segment Anything "
        "(arXiv 2304.02643) and packed in the format of SA-1B."
    )
    metadata: Json = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": stated.title or f"{masks.count} masks on {images.count} images",
        "description": description,
        **_stated(stated),
        "keywords": ["image segmentation", "SA-1B"],
        "rai:machineAnnotationTools": [f"{item.name}, SHA-256 {item.digest}" for item in making.checkpoints],
        "distribution": [*map(_tar, tars), *_file_sets(tars)],
        "recordSet": [_images(), _masks()] if tars else [],
    }
    return json.dumps(metadata, indent=1, ensure_ascii=False).encode() + b"\n"


def _stated(stated: CardSettings) -> Json:
    creators = [{"@type": "sc:Organization", "name": name} for name in stated.creators]
    values = {
        "license": stated.licence,
        "citeAs": stated.citation,
        "creator": creators or None,
        "url": stated.url,
        "version": stated.version,
        "datePublished": stated.published and stated.published.isoformat(),
    }
    return {name: value for name, value in values.items() if value is not None}


def _tar(tar: TarFile) -> Json:
    return {
        "@type": "cr:FileObject",
        "@id": tar.name,
        "name": tar.name,
        "contentUrl": tar.url,
        "contentSize": f"{tar.size} B",
        "encodingFormat": "application/x-tar",
        "sha256": tar.sha256,
    }


def _file_sets(tars: Sequence[TarFile]) -> list[Json]:
    within = [{"@id": tar.name} for tar in tars]
    sets = (
        (JPEGS, "image/jpeg", "sa_*.jpg"),
        (RECORDS, "application/json", "sa_*.json"),
    )
    return [
        {
            "@type": "cr:FileSet",
            "@id": name,
            "name": name,
            "containedIn": within,
            "encodingFormat": encoding,
            "includes": pattern,
        }
        for name, encoding, pattern in sets
        if tars
    ]


def _images() -> Json:
    return _record_set(
        "images",
        "An image of the export.",
        _field("images", "image_id", "cr:Int64", "Number of the image, from 1.", _number_in_name(JPEGS)),
        _field("images", "file_name", "sc:Text", "sa_{image_id}.jpg", _file(JPEGS, "filename")),
        _field("images", "content", "sc:ImageObject", "The image.", _file(JPEGS, "content")),
    )


def _masks() -> Json:
    def of(name: str, data_type: str, description: str, path: str, shape: str | None = None) -> Json:
        array = {"isArray": True, "arrayShape": shape} if shape else {}
        source = {"fileSet": {"@id": RECORDS}, "extract": {"jsonPath": f"$.annotations[*].{path}"}}
        return _field("masks", name, data_type, description, source) | array

    return _record_set(
        "masks",
        "A mask, as SA-1B records it.",
        of("id", "cr:Int64", "Number of the mask, unique in the dataset.", "id"),
        _field("masks", "image_id", "cr:Int64", "The image that it lies on.", _number_in_name(RECORDS))
        | {"references": {"field": {"@id": "images/image_id"}}},
        of("bbox", "cr:Float64", "Box as XYWH, px; width is x_max - x_min of foreground pixels.", "bbox", "4"),
        of("area", "cr:Int64", "Foreground pixels.", "area"),
        of("size", "cr:Int32", "Height and width of the mask, px.", "segmentation.size", "2"),
        of("counts", "sc:Text", "COCO's compressed run lengths.", "segmentation.counts"),
        of("predicted_iou", "cr:Float64", "The model's own estimate of the mask's IoU.", "predicted_iou"),
        of("stability_score", "cr:Float64", "IoU of the masks at a raised and a lowered threshold.", "stability_score"),
        of("point_coords", "cr:Float64", "The points that prompted it, as XY, px.", "point_coords", "1,2"),
        of("crop_box", "cr:Int32", "The crop that it was found on, as XYWH, px.", "crop_box", "4"),
    )


def _record_set(name: str, description: str, *fields: Json) -> Json:
    key = {"@id": fields[0]["@id"]}
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "key": key,
        "field": list(fields),
    }


def _field(record_set: str, name: str, data_type: str, description: str, source: Json) -> Json:
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": name,
        "description": description,
        "dataType": data_type,
        "source": source,
    }


def _file(file_set: str, file_property: str) -> Json:
    return {"fileSet": {"@id": file_set}, "extract": {"fileProperty": file_property}}


def _number_in_name(file_set: str) -> Json:
    return _file(file_set, "filename") | {"transform": {"regex": r"sa_(\d+)\."}}
