"""A picture of the dataset and its embedding, as the browser gets them, from the files of its shard.

What a file holds is looked up once and again when the file has changed; pictures and embeddings are read when they are
asked for. No torch: an embedding's bytes are read where the header of the safetensors file says that they lie.
"""

import bisect
import io
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from sa_pipeline.artifacts import HEADER_KEY, AssetName, artifact_name, parse_header
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError, MissingFileError
from sa_pipeline.images.ledger import list_shards, read_ledger_shard
from sa_pipeline.images.stored import BlurredImages
from sa_pipeline.studio.decoder import has_decoder
from sa_pipeline.studio.models import ImageInfo
from sa_pipeline.studio.refusals import not_found

CHECK_SECONDS = 5.0
"""How long a file is taken to be as it was, before that is looked at again."""

_COLUMNS = ["image_id", "file_name", "source_uri", "width", "height", "status"]
_SMALL_COPY_QUALITY = 80
_DTYPES = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}

T = TypeVar("T")


@dataclass(frozen=True)
class Picture:
    """A picture that was not rejected; width and height in px."""

    image_id: int
    shard: str
    file_name: str
    source_uri: str
    width: int
    height: int


@dataclass(frozen=True)
class _Place:
    picture: Picture
    row_group: int
    row: int


@dataclass(frozen=True)
class _PictureFile:
    metadata: pq.FileMetaData
    places: dict[int, _Place]


@dataclass(frozen=True)
class _Tensor:
    dtype: np.dtype[np.float16] | np.dtype[np.float32]
    shape: tuple[int, ...]
    start: int
    length: int


@dataclass(frozen=True)
class _EmbeddingFile:
    checkpoint_digest: str
    tensors: dict[int, _Tensor]


class Pictures:
    """The pictures of a dataset; may be used from several threads."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._pictures = _Files(dataset, AssetName.RAW_IMAGES, self._read_pictures)
        self._blurred = _Files(dataset, AssetName.DEIDENTIFIED_IMAGES, lambda shard: BlurredImages(dataset, shard))
        self._embeddings = _Files(dataset, AssetName.IMAGE_EMBEDDINGS, self._read_embeddings)
        self._shards: list[str] = []
        self._first_ids: dict[str, int] = {}

    def warm_up(self) -> None:
        """Loads the libraries that read the files, which takes a second that the first request would wait for."""
        for shard in self.shards()[:1]:
            self.first_id(shard)
            self._places(shard)

    def shards(self) -> list[str]:
        """The dataset's shards, in order."""
        return list_shards(self._dataset.storage)

    def of_shard(self, shard: str) -> list[Picture]:
        """The pictures of a shard, in order; none where `raw_images` was not made."""
        return [place.picture for place in self._places(shard).values()]

    def get(self, image_id: int) -> Picture:
        """A picture by its number.

        Raises:
            RefusedError: not_found: there is none, or it was rejected.
        """
        return self._place(image_id, self.shard_of(image_id)).picture

    def shard_of(self, image_id: int) -> str:
        """The shard in which a picture lies.

        Raises:
            RefusedError: not_found.
        """
        for shards in (self._shards, self.shards()):
            self._shards = shards
            # A shard holds consecutive numbers, so the last that begins at or before this one is the picture's.
            index = bisect.bisect_right(shards, image_id, key=self.first_id) - 1
            if index >= 0 and image_id in self._places(shards[index]):
                return shards[index]
        raise not_found(f"picture {image_id}")

    def shards_from(self, image_id: int) -> list[str]:
        """The shards, in order, from that in which a picture of this number or the next higher one lies."""
        shards = self.shards()
        return shards[max(0, bisect.bisect_right(shards, image_id, key=self.first_id) - 1) :]

    def first_id(self, shard: str) -> int:
        """Number of the first picture of a shard, rejected or not."""
        if shard not in self._first_ids:
            self._first_ids[shard] = read_ledger_shard(self._dataset.storage, shard)[0].image_id
        return self._first_ids[shard]

    def info(self, image_id: int, shard: str, file_name: str, width: int, height: int) -> ImageInfo:
        """What the browser must know of a picture: where to fetch it and its embedding."""
        digest = self.checkpoint_digest(shard, image_id)
        place = f"/api/images/{image_id}"
        return ImageInfo(
            image_id=image_id,
            file_name=file_name,
            width=width,
            height=height,
            picture_url=f"{place}/picture",
            embedding_url=f"{place}/embedding?checkpoint={digest}" if digest else None,
            checkpoint_digest=digest,
        )

    def info_of(self, picture: Picture) -> ImageInfo:
        """As `info`."""
        return self.info(picture.image_id, picture.shard, picture.file_name, picture.width, picture.height)

    def checkpoint_digest(self, shard: str, image_id: int) -> str | None:
        """Digest of the weights that made a picture's embedding; None where it, or the decoder to it, was not made."""
        file = self._embeddings.get(shard)
        if file is None or image_id not in file.tensors or not has_decoder(self._dataset, file.checkpoint_digest):
            return None
        return file.checkpoint_digest

    def jpeg(self, image_id: int) -> bytes:
        """The picture as it is exported, which every stage of the pipeline decodes.

        Raises:
            ArtifactError: Faces are to be blurred, and nobody has looked for them in that picture.
            RefusedError: not_found.
        """
        shard = self.shard_of(image_id)
        if self._dataset.settings.deidentification.enabled:
            blurred = self._blurred_images(shard).jpeg(image_id)
            if blurred is not None:
                return blurred
        place = self._place(image_id, shard)
        file = self._pictures.get(shard)
        with self._dataset.storage.reading(artifact_name(AssetName.RAW_IMAGES, shard)) as source:
            parquet = pq.ParquetFile(source, metadata=file.metadata if file else None)
            jpeg = parquet.read_row_group(place.row_group, columns=["jpeg"]).column("jpeg")[place.row].as_py()
        return bytes(jpeg)

    def embedding(self, image_id: int, checkpoint_digest: str) -> npt.NDArray[np.float16]:
        """A picture's embedding (C, h, w), float16 little-endian, whatever the file holds.

        Raises:
            RefusedError: not_found: there is none of that picture by those weights.
        """
        shard = self.shard_of(image_id)
        file = self._embeddings.get(shard)
        tensor = file.tensors.get(image_id) if file else None
        if file is None or tensor is None or file.checkpoint_digest != checkpoint_digest:
            raise not_found(f"embedding of picture {image_id} by the checkpoint {checkpoint_digest}")
        with self._dataset.storage.reading(artifact_name(AssetName.IMAGE_EMBEDDINGS, shard)) as source:
            source.seek(tensor.start)
            content = source.read(tensor.length)
        return np.frombuffer(content, tensor.dtype).reshape(tensor.shape).astype("<f2", copy=False)

    def _blurred_images(self, shard: str) -> BlurredImages:
        found = self._blurred.get(shard)
        # Where there is no file yet, this says so.
        return found if found is not None else BlurredImages(self._dataset, shard)

    def _place(self, image_id: int, shard: str) -> _Place:
        places = self._places(shard)
        if image_id not in places:
            raise not_found(f"picture {image_id}")
        return places[image_id]

    def _places(self, shard: str) -> dict[int, _Place]:
        file = self._pictures.get(shard)
        return file.places if file else {}

    def _read_pictures(self, shard: str) -> _PictureFile:
        name = artifact_name(AssetName.RAW_IMAGES, shard)
        places = {}
        with self._dataset.storage.reading(name) as source:
            try:
                parquet = pq.ParquetFile(source)
                for group in range(parquet.num_row_groups):
                    for row, values in enumerate(parquet.read_row_group(group, columns=_COLUMNS).to_pylist()):
                        if values.pop("status") == "ok":
                            places[values["image_id"]] = _Place(Picture(shard=shard, **values), group, row)
            except pa.ArrowException as error:
                raise _damaged(self._dataset, name, error) from error
            return _PictureFile(parquet.metadata, places)

    def _read_embeddings(self, shard: str) -> _EmbeddingFile:
        name = artifact_name(AssetName.IMAGE_EMBEDDINGS, shard)
        with self._dataset.storage.reading(name) as source:
            try:
                length = int.from_bytes(source.read(8), "little")
                index = json.loads(source.read(length))
                header = parse_header(index.pop("__metadata__")[HEADER_KEY], name=name)
                tensors = {int(key): _tensor(entry, 8 + length) for key, entry in index.items()}
            except (KeyError, TypeError, ValueError, MemoryError, OverflowError) as error:
                raise _damaged(self._dataset, name, error) from error
        if header.checkpoint is None:
            raise _damaged(self._dataset, name, "it names no checkpoint")
        return _EmbeddingFile(header.checkpoint.digest, tensors)


@dataclass
class _Entry(Generic[T]):
    fingerprint: str | None
    content: T | None
    checked_at: float


class _Files(Generic[T]):
    """What an asset's files hold, read again when a file has changed."""

    def __init__(self, dataset: Dataset, asset: AssetName, read: Callable[[str], T]) -> None:
        self._storage = dataset.storage
        self._asset = asset
        self._read = read
        self._entries: dict[str, _Entry[T]] = {}
        self._lock = threading.Lock()

    def get(self, shard: str) -> T | None:
        """What a shard's file holds; None when there is no file."""
        with self._lock:
            entry = self._entries.get(shard)
            now = time.monotonic()
            if entry is None or now - entry.checked_at > CHECK_SECONDS:
                entry = self._entries[shard] = self._checked(shard, entry, now)
            return entry.content

    def _checked(self, shard: str, entry: _Entry[T] | None, now: float) -> _Entry[T]:
        try:
            fingerprint = self._storage.fingerprint(artifact_name(self._asset, shard))
            if entry and entry.fingerprint == fingerprint:
                return _Entry(fingerprint, entry.content, now)
            return _Entry(fingerprint, self._read(shard), now)
        except MissingFileError:
            return _Entry(None, None, now)


def _tensor(entry: dict[str, object], data: int) -> _Tensor:
    start, stop = entry["data_offsets"]  # type: ignore[misc]  # a list of two, or the file is damaged
    return _Tensor(_DTYPES[str(entry["dtype"])], tuple(entry["shape"]), data + start, stop - start)  # type: ignore[arg-type, has-type]


def _damaged(dataset: Dataset, name: str, reason: object) -> ArtifactError:
    return ArtifactError(f"{dataset.storage.url_of(name)} is damaged ({reason}); materialize it again.")


def small_copy(jpeg: bytes, side: int) -> bytes:
    """A picture's JPEG with the longer side brought down to `side` px; a picture that is smaller keeps its size."""
    with Image.open(io.BytesIO(jpeg)) as image:
        # decodes at an eighth, a quarter or half of the size where that is enough
        image.draft(None, (side, side))
        image.thumbnail((side, side))
        small = io.BytesIO()
        image.save(small, "JPEG", quality=_SMALL_COPY_QUALITY)
    return small.getvalue()
