"""From settings to detectors."""

import pytest

from sa_pipeline.errors import SettingsError
from sa_pipeline.privacy.detection import Detection, Kind
from sa_pipeline.privacy.loading import load_detectors
from sa_pipeline.settings import DeidentificationSettings


class Corner:
    """A detector of one's own: calls the upper left corner of every picture a face."""

    name = "corner"
    digest = "1"

    def detect(self, image):
        return [Detection(Kind.FACE, 1.0, (0.0, 0.0, 8.0, 8.0))]


class Nothing:
    """No detector."""


def test_a_detector_of_ones_own_is_loaded_by_its_name() -> None:
    settings = DeidentificationSettings(faces=f"{__name__}:Corner")
    (detector,) = load_detectors(settings)
    assert (detector.name, detector.digest) == ("corner", "1")


def test_the_default_finds_faces_and_no_plates() -> None:
    (detector,) = load_detectors(DeidentificationSettings())
    assert detector.name == "centerface"
    assert load_detectors(DeidentificationSettings(faces=None)) == ()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("retinaface", "'retinaface' is no detector; expected centerface"),
        ("/nowhere/plates.onnx", "/nowhere/plates.onnx does not exist"),
        ("nobody.has.this:Detector", "cannot be loaded"),
        (f"{__name__}:Absent", "cannot be loaded"),
        (f"{__name__}:Nothing", "gave a Nothing; expected name, digest and detect"),
    ],
)
def test_what_is_no_detector_is_refused(name, message) -> None:
    with pytest.raises(SettingsError, match=message):
        load_detectors(DeidentificationSettings(faces=None, license_plates=name))
