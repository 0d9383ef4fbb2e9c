"""Pictures, their embeddings, and the mask decoders that go with them."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from sa_pipeline.errors import AnnotationError, MissingFileError
from sa_pipeline.studio.decoder import model_info, read_decoder
from sa_pipeline.studio.models import Decode, Decoded, ImageInfo, ModelInfo
from sa_pipeline.studio.pictures import small_copy
from sa_pipeline.studio.refusals import invalid, not_found
from sa_pipeline.studio.workplace import AnyPerson, Digest, Here, ImageNumber

router = APIRouter(tags=["pictures"])

_FOR_A_DAY = "private, max-age=86400"
_FOR_GOOD = "private, max-age=31536000, immutable"
_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


@router.get("/images/{image_id}")
def read_image(here: Here, _person: AnyPerson, image_id: ImageNumber) -> ImageInfo:
    """Where a picture and its embedding are to be had."""
    return here.pictures.info_of(here.pictures.get(image_id))


@router.get(
    "/images/{image_id}/picture",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}},
)
def read_picture(
    here: Here,
    _person: AnyPerson,
    image_id: ImageNumber,
    side: Annotated[int | None, Query(ge=32, le=1024, description="of a small copy: px of its longer side")] = None,
) -> Response:
    """The picture, a JPEG, as the pipeline's stages decode it; or a small copy of it for lists."""
    jpeg = here.pictures.jpeg(image_id)
    content = jpeg if side is None else small_copy(jpeg, side)
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": _FOR_A_DAY})


@router.get("/images/{image_id}/embedding", response_class=Response, responses={200: {"content": _BYTES}})
def read_embedding(
    here: Here, _person: AnyPerson, image_id: ImageNumber, checkpoint: Annotated[str, Query(pattern="^[0-9a-f]{64}$")]
) -> Response:
    """The embedding (C, h, w) by those weights: float16, little-endian."""
    content = here.pictures.embedding(image_id, checkpoint).tobytes()
    return Response(content, media_type="application/octet-stream", headers={"Cache-Control": _FOR_GOOD})


@router.post("/images/{image_id}/decode")
def decode(here: Here, _person: AnyPerson, image_id: ImageNumber, body: Decode) -> Decoded:
    """Runs the mask decoder, for a browser that cannot."""
    embedding = here.pictures.embedding(image_id, body.checkpoint_digest)
    try:
        return here.decoders.get(body.checkpoint_digest).decode(embedding, body)
    except AnnotationError as error:
        raise invalid(str(error)) from None
    except MissingFileError:
        raise not_found(f"decoder of the checkpoint {body.checkpoint_digest}") from None


@router.get("/models/{digest}")
def read_model(here: Here, _person: AnyPerson, digest: Digest) -> ModelInfo:
    """What the browser must know to run a decoder."""
    try:
        return model_info(here.dataset, digest)
    except MissingFileError:
        raise not_found(f"decoder of the checkpoint {digest}") from None


@router.get("/models/{digest}/decoder.onnx", response_class=Response, responses={200: {"content": _BYTES}})
def read_decoder_graph(here: Here, _person: AnyPerson, digest: Digest) -> Response:
    """The decoder, an ONNX graph."""
    try:
        content = read_decoder(here.dataset, digest)
    except MissingFileError:
        raise not_found(f"decoder of the checkpoint {digest}") from None
    return Response(content, media_type="application/octet-stream", headers={"Cache-Control": _FOR_GOOD})
