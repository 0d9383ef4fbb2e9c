"""SA-1B, ours or the released files, as annotated images: every mask of a record is one person's."""

from collections.abc import Sequence
from pathlib import Path, PurePath

from sa_pipeline.annotated.image import AnnotatedImage, decode_annotated, has_pixels, require_size
from sa_pipeline.errors import AnnotationError
from sa_pipeline.sa1b.members import IMAGE, Member, list_members, opened, read_member, require_partners
from sa_pipeline.sa1b.records import parse_record_of, record_name


class Sa1bSource:
    """One or several SA-1B tars. Masks without pixels are left out."""

    def __init__(self, tars: Sequence[str | Path]) -> None:
        """Lists the tars, each given by its path or fsspec URL.

        Raises:
            AnnotationError: None of them holds an image.
            RecordError: A member has a foreign name or lacks its other half.
            ArtifactError: A tar is damaged.
            StorageError: A tar cannot be opened.
        """
        self._images: list[tuple[str | Path, Member, Member]] = []
        for path in sorted(tars, key=str):
            with opened(path) as (file, name):
                members = list_members(file, name)
            by_name = {member.name: member for member in members}
            require_partners(by_name, str(path))
            for member in sorted((m for m in members if m.kind == IMAGE), key=lambda m: m.number):
                self._images.append((path, member, by_name[record_name(member.number)]))
        if not self._images:
            raise AnnotationError(f"{', '.join(map(str, tars))}: no image is in it; expected sa_N.jpg and sa_N.json.")

    @property
    def names(self) -> Sequence[str]:
        """`TAR/sa_N.jpg`, by tar and rising number."""
        return [f"{PurePath(path).name}/{image.name}" for path, image, _ in self._images]

    def read(self, index: int) -> AnnotatedImage:
        """Reads one image and its record.

        Raises:
            AnnotationError: The image is damaged or of another size than its record says.
            RecordError: The record is malformed.
            ArtifactError: The tar ends too early.
            StorageError: The tar cannot be opened.
        """
        path, image, record_member = self._images[index]
        name = f"{PurePath(path).name}/{image.name}"
        with opened(path) as (file, tar):
            pixels = decode_annotated(read_member(file, image, tar), f"{tar}: {image.name}")
            record = parse_record_of(
                image.number, read_member(file, record_member, tar), f"{tar}: {record_member.name}"
            )
        where = f"{tar}: {record_member.name}"
        size = (record.image.height, record.image.width)
        require_size(size, pixels.shape[:2], where)
        kept = [
            item
            for item in record.annotations
            if has_pixels(item.segmentation.counts, size, f"{where}: annotation {item.id}")
        ]
        masks = tuple(item.segmentation.counts for item in kept)
        return AnnotatedImage(name, pixels, (masks,), (tuple(item.predicted_iou for item in kept),))
