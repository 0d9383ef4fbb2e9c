"""From the settings to the detectors that they name."""

import functools
import importlib
from pathlib import Path

from sa_pipeline.errors import SettingsError
from sa_pipeline.privacy import centerface
from sa_pipeline.privacy.detection import Detector, Kind
from sa_pipeline.privacy.yolo import YoloFile
from sa_pipeline.settings import DeidentificationSettings


def load_detectors(settings: DeidentificationSettings) -> tuple[Detector, ...]:
    """The detectors of faces and of licence plates that the settings name; each is loaded once per process.

    Raises:
        SettingsError: One is not there, or is no detector.
    """
    wanted = (
        (settings.faces, Kind.FACE, settings.min_face_score),
        (settings.license_plates, Kind.LICENSE_PLATE, settings.min_license_plate_score),
    )
    return tuple(
        _load(name, kind, min_score, settings.min_face_height) for name, kind, min_score in wanted if name is not None
    )


@functools.lru_cache(maxsize=8)
def _load(name: str, kind: Kind, min_score: float, min_face_height: int) -> Detector:
    if name == centerface.NAME and kind is Kind.FACE:
        return centerface.CenterFace(min_score, min_face_height)
    if name.endswith(".onnx"):
        return YoloFile(Path(name).expanduser(), kind, min_score)
    module, separator, attribute = name.partition(":")
    if not separator:
        raise SettingsError(
            f"deidentification: {name!r} is no detector; expected {centerface.NAME} (faces only), the path of an .onnx "
            "file, or module:attribute of your own."
        )
    try:
        made = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"deidentification: {name!r} cannot be loaded ({error}).") from error
    if not isinstance(made, Detector):
        raise SettingsError(
            f"deidentification: {name!r} gave a {type(made).__name__}; expected name, digest and detect(image), as "
            "sa_pipeline.privacy.detection.Detector has."
        )
    return made
