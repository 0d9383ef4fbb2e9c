"""The mask decoders that the studio hands to browsers: one ONNX graph for each checkpoint that made embeddings.

They lie beside the embeddings, named by the digest of the weights, and are never changed.
"""

from pydantic import ValidationError

from sa_pipeline.artifacts import CheckpointRef
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError, describe_validation_error
from sa_pipeline.studio.models import ModelInfo

_FOLDER = "decoders"


def decoder_name(digest: str) -> str:
    """Name of a decoder's graph within the storage root."""
    return f"{_FOLDER}/{digest}.onnx"


def _info_name(digest: str) -> str:
    return f"{_FOLDER}/{digest}.json"


def decoder_url(digest: str) -> str:
    """Where the studio's server hands a decoder out."""
    return f"/api/models/{digest}/decoder.onnx"


def ensure_decoder(dataset: Dataset, checkpoint: str) -> CheckpointRef:
    """Makes the graph of a checkpoint's mask decoder unless it is there.

    Args:
        dataset: Whose storage holds the graph.
        checkpoint: A registered name or the path of a checkpoint.

    Returns:
        The checkpoint.

    Raises:
        CheckpointError: The checkpoint cannot be loaded, or its graph differs from it.
        StorageError: The graph cannot be written.
    """
    from sa_pipeline.sam.registry import checkpoint_ref, load_model

    ref = checkpoint_ref(checkpoint)
    if dataset.storage.exists(_info_name(ref.digest)):
        return ref
    from sa_pipeline.sam.onnx_decoder import export_decoder

    sam = load_model(checkpoint).sam
    height, width = sam.prompt_encoder.image_embedding_size
    info = ModelInfo(
        checkpoint_digest=ref.digest,
        name=ref.name,
        decoder_url=decoder_url(ref.digest),
        image_size=sam.image_encoder.img_size,
        embedding_shape=(sam.prompt_encoder.embed_dim, height, width),
        low_res_side=4 * height,
        mask_threshold=sam.mask_threshold,
    )
    dataset.storage.write_bytes(decoder_name(ref.digest), export_decoder(sam))
    dataset.storage.write_bytes(_info_name(ref.digest), info.model_dump_json(indent=1).encode())
    return ref


def has_decoder(dataset: Dataset, digest: str) -> bool:
    """Whether the decoder of a checkpoint has been made."""
    return dataset.storage.exists(_info_name(digest))


def model_info(dataset: Dataset, digest: str) -> ModelInfo:
    """What a browser must know of a decoder.

    Raises:
        MissingFileError: The decoder was not made.
        ArtifactError: Its description is damaged.
    """
    name = _info_name(digest)
    try:
        return ModelInfo.model_validate_json(dataset.storage.read_bytes(name))
    except ValidationError as error:
        raise ArtifactError(describe_validation_error(error, name=dataset.storage.url_of(name))) from None


def read_decoder(dataset: Dataset, digest: str) -> bytes:
    """The ONNX file of a decoder.

    Raises:
        MissingFileError: The decoder was not made.
    """
    return dataset.storage.read_bytes(decoder_name(digest))
