"""`candidate_masks`: what the model proposes on every image of a shard, scored but not judged."""

import hashlib
import io
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from sa_pipeline.artifacts import ArtifactHeader, AssetName, writing_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.generation.candidates import Proposals, propose_masks
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.provenance import expected_header
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.schemas import CANDIDATE_MASKS
from sa_pipeline.stages.embeddings_file import open_embeddings
from sa_pipeline.stages.result import StageResult, make_unless_fresh
from sa_pipeline.stages.shard_images import ShardImage, count_images, iterate_images
from sa_pipeline.storage import Storage

_COUNTS_KEY = b"counts"


def make_candidate_masks(
    dataset: Dataset, shard: str, model: LoadedModel, progress: Progress | None = None
) -> StageResult:
    """Proposes masks on a shard's images (paper §4, "Fully automatic stage"; crops: Appendix B).

    Each image's candidates are kept aside as soon as they are made, so that a run that is stopped goes on with the
    next image. Counts: images, proposals, below_predicted_iou_floor, below_stability_floor, candidates.

    Raises:
        ArtifactError: `raw_images` or `image_embeddings` was not made or is damaged.
        StorageError: The file cannot be written.
    """

    def make(header: ArtifactHeader) -> None:
        parts = _Parts(dataset.storage, header)
        images = (progress or SilentProgress()).track(
            iterate_images(dataset, shard),
            description=f"{AssetName.CANDIDATE_MASKS} {shard}",
            total=count_images(dataset, shard),
        )
        with (
            open_embeddings(dataset, shard) as embeddings,
            writing_table(dataset.storage, CANDIDATE_MASKS, header) as writer,
        ):
            for image in images:
                proposals = parts.get(image)
                if proposals is None:
                    proposals = _propose(image, embeddings.get(image.image_id), dataset, model)
                    parts.put(image, proposals)
                writer.write(proposals.candidates)
                writer.counts.update(proposals.counts)
                writer.counts["images"] += 1
        parts.remove()

    expected = expected_header(dataset, AssetName.CANDIDATE_MASKS, shard, model.ref)
    return make_unless_fresh(dataset.storage, expected, make)


def _propose(image: ShardImage, embedding: torch.Tensor, dataset: Dataset, model: LoadedModel) -> Proposals:
    settings = dataset.settings
    return propose_masks(
        image.pixels,
        model.sam,
        settings.masks,
        arithmetic=settings.arithmetic,
        image_id=image.image_id,
        embedding=embedding,
    )


class _Parts:
    """Candidates of single images, kept until the shard's file is published.

    The folder is named after the provenance, so that parts made with other settings or weights are never taken.
    """

    def __init__(self, storage: Storage, header: ArtifactHeader) -> None:
        digest = hashlib.sha256(header.dump().encode()).hexdigest()[:16]
        self._storage = storage
        self._folder = f"{AssetName.CANDIDATE_MASKS}/parts/{header.partition}-{digest}"

    def get(self, image: ShardImage) -> Proposals | None:
        if not self._storage.exists(self._name(image)):
            return None
        table = pq.read_table(io.BytesIO(self._storage.read_bytes(self._name(image))))
        counts = Counter(json.loads(table.schema.metadata[_COUNTS_KEY]))
        return Proposals(table.cast(CANDIDATE_MASKS), counts)

    def put(self, image: ShardImage, proposals: Proposals) -> None:
        counts = json.dumps(proposals.counts).encode()
        table: pa.Table = proposals.candidates.replace_schema_metadata({_COUNTS_KEY: counts})
        sink = io.BytesIO()
        pq.write_table(table, sink)
        self._storage.write_bytes(self._name(image), sink.getvalue())

    def remove(self) -> None:
        self._storage.remove(self._folder)

    def _name(self, image: ShardImage) -> str:
        return f"{self._folder}/{image.image_id}.parquet"
