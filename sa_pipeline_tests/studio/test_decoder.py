"""A click answered by the ONNX graph is the click answered by the model."""

import base64
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from pydantic import ValidationError
from segment_anything import SamPredictor, sam_model_registry

from sa_pipeline.dataset import open_dataset
from sa_pipeline.errors import AnnotationError, MissingFileError
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.studio.decoder import ensure_decoder, model_info, read_decoder
from sa_pipeline.studio.decoding import ServerDecoder
from sa_pipeline.studio.models import Decode, Decoded


@pytest.fixture(scope="module")
def chelsea():
    return skimage.data.chelsea()


@pytest.fixture(scope="module")
def predictor(tiny: LoadedModel, chelsea) -> SamPredictor:
    predictor = SamPredictor(tiny.sam)
    predictor.set_image(chelsea)
    return predictor


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> ServerDecoder:
    return _decoder_of(tmp_path_factory.mktemp("home"), "tiny")


def _asked(**prompt) -> Decode:
    return Decode(checkpoint_digest="of no importance here", **prompt)


def _decoder_of(home: Path, checkpoint: str) -> ServerDecoder:
    dataset = open_dataset(home)
    digest = ensure_decoder(dataset, checkpoint).digest
    return ServerDecoder(read_decoder(dataset, digest), model_info(dataset, digest))


def _logits(answer: Decoded, side: int):
    return np.frombuffer(base64.b64decode(answer.low_res_masks), "<f4").reshape(4, side, side)


def _embedding(predictor: SamPredictor):
    return predictor.get_image_embedding()[0].numpy().astype(np.float16)


def _float16_of(predictor: SamPredictor) -> None:
    predictor.features = predictor.features.half().float()


def test_one_click_gives_the_predictors_three_masks(decoder: ServerDecoder, predictor: SamPredictor) -> None:
    _float16_of(predictor)
    point = np.array([[220.0, 120.0]])
    _, scores, expected = predictor.predict(point, np.array([1]), multimask_output=True)
    scaled = predictor.transform.apply_coords(point, predictor.original_size)
    answer = decoder.decode(
        _embedding(predictor),
        _asked(point_coords=[tuple(scaled[0]), (0, 0)], point_labels=[1, -1]),
    )
    np.testing.assert_allclose(_logits(answer, 128)[1:], expected, rtol=1e-5, atol=1e-2)
    np.testing.assert_allclose(answer.iou_predictions[1:], scores, atol=1e-5)


def test_a_box_and_clicks_correct_an_earlier_answer(decoder: ServerDecoder, predictor: SamPredictor) -> None:
    _float16_of(predictor)
    point, box = np.array([[220.0, 120.0], [300.0, 40.0]]), np.array([100.0, 30.0, 330.0, 250.0])
    _, _, earlier = predictor.predict(point[:1], np.array([1]), multimask_output=False)
    _, _, expected = predictor.predict(point, np.array([1, 0]), box=box, mask_input=earlier, multimask_output=False)
    scaled = predictor.transform.apply_coords(np.vstack([point, box.reshape(2, 2)]), predictor.original_size)
    answer = decoder.decode(
        _embedding(predictor),
        _asked(
            point_coords=[tuple(xy) for xy in scaled],
            point_labels=[1, 0, 2, 3],
            mask_input=base64.b64encode(earlier.astype("<f4").tobytes()).decode(),
        ),
    )
    np.testing.assert_allclose(_logits(answer, 128)[:1], expected, rtol=1e-5, atol=1e-2)


def test_a_vit_decoder_from_an_official_file(tmp_path: Path, chelsea) -> None:
    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"]().eval()
    torch.save(sam.state_dict(), tmp_path / "random.pth")
    decoder = _decoder_of(tmp_path / "home", str(tmp_path / "random.pth"))
    embedding = torch.randn(1, 256, 64, 64).half()
    sparse, dense = sam.prompt_encoder(
        points=(torch.tensor([[[512.0, 300.0]]]), torch.ones(1, 1, dtype=torch.int)), boxes=None, masks=None
    )
    with torch.no_grad():
        expected, _ = sam.mask_decoder(
            embedding.float(), sam.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output=True
        )
    answer = decoder.decode(embedding[0].numpy(), _asked(point_coords=[(512, 300), (0, 0)], point_labels=[1, -1]))
    np.testing.assert_allclose(_logits(answer, 256)[1:], expected[0], atol=1e-4)


def test_the_graph_is_made_once(tmp_path: Path) -> None:
    dataset = open_dataset(tmp_path)
    digest = ensure_decoder(dataset, "tiny").digest
    made = (tmp_path / "decoders" / f"{digest}.onnx").stat().st_mtime_ns
    assert ensure_decoder(dataset, "tiny").digest == digest
    assert (tmp_path / "decoders" / f"{digest}.onnx").stat().st_mtime_ns == made


def test_a_decoder_that_was_not_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="unknown"):
        model_info(open_dataset(tmp_path), "unknown")


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (
            _asked(point_coords=[(1, 1)], point_labels=[1, -1]),
            "point_labels: expected one for each",
        ),
        (
            _asked(point_coords=[(1, 1)], point_labels=[1], mask_input="AAAA"),
            "mask_input: expected 128x128",
        ),
        (
            _asked(point_coords=[(1, 1)], point_labels=[1], mask_input="no base64!"),
            "mask_input: expected base64",
        ),
        (
            _asked(
                point_coords=[(1, 1)],
                point_labels=[1],
                mask_input=base64.b64encode(np.full(128 * 128, np.nan, "<f4").tobytes()).decode(),
            ),
            "mask_input: expected finite",
        ),
    ],
)
def test_bad_prompts_are_refused_in_a_sentence(decoder: ServerDecoder, request_: Decode, sentence: str) -> None:
    with pytest.raises(AnnotationError, match=sentence):
        decoder.decode(np.zeros((128, 32, 32), np.float16), request_)


def test_a_label_that_sam_does_not_know_is_refused() -> None:
    with pytest.raises(ValidationError, match="point_labels"):
        _asked(point_coords=[(1, 1)], point_labels=[4])
