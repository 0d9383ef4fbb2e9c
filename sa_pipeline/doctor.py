"""What is installed and what works: the answers to the first questions when something does not."""

import importlib.metadata
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from sa_pipeline.artifacts import CheckpointRef
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import SaPipelineError
from sa_pipeline.privacy.loading import load_detectors
from sa_pipeline.promotion import checkpoint_in_use
from sa_pipeline.sam.registry import checkpoint_names, checkpoint_ref
from sa_pipeline.settings import Arithmetic

PACKAGES = ("sa-pipeline", "dagster", "torch", "torchvision", "segment-anything", "duckdb", "pyarrow", "pydantic")
MIN_FREE_BYTES = 2 * 1024**3
PROBE_FILE = "doctor.probe"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `ok` is None for what is not there and not needed."""

    subject: str
    ok: bool | None
    detail: str


def examine(dataset: Dataset) -> Iterator[Finding]:
    """Looks at versions, devices, checkpoints and storage, one after another."""
    yield Finding("python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in PACKAGES:
        yield _version(package)
    yield _device()
    yield _arithmetic(dataset.settings.arithmetic)
    try:
        used = checkpoint_in_use(dataset)
    except SaPipelineError as error:
        yield Finding("checkpoint in use", False, str(error))
        used = dataset.settings.checkpoint
    yield _checkpoint(used, needed=True)
    for name in checkpoint_names():
        if name != used:
            yield _checkpoint(name, needed=False)
    if dataset.settings.deidentification.enabled:
        yield _detectors(dataset)
    yield _writable(dataset)
    yield _free_space(dataset)


def _version(package: str) -> Finding:
    try:
        return Finding(package, True, importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return Finding(package, False, f"not installed; run: pip install {package}")


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("device", True, f"GPU {torch.cuda.get_device_name(0)}")
    return Finding("device", True, f"CPU, {torch.get_num_threads()} threads; no GPU that torch can use")


def _arithmetic(arithmetic: Arithmetic) -> Finding:
    import torch

    from sa_pipeline.sam.inference import compute_dtype
    from sa_pipeline.sam.instructions import is_imitated

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        compute_dtype(device, arithmetic)
    except SaPipelineError as error:
        return Finding("arithmetic", False, str(error))
    if device.type == "cuda":
        return Finding("arithmetic", True, arithmetic.value)
    has = "has no" if is_imitated(torch.bfloat16) else "has"
    return Finding("arithmetic", True, f"{arithmetic.value}; this CPU {has} instructions for bfloat16")


def _checkpoint(name: str, *, needed: bool) -> Finding:
    subject = f"checkpoint {name}{' (in use)' if needed else ''}"
    try:
        ref: CheckpointRef = checkpoint_ref(name)
    except SaPipelineError as error:
        return Finding(subject, False, str(error)) if needed else Finding(subject, None, str(error).split(";")[0])
    return Finding(subject, True, f"{ref.architecture}, sha256 {ref.digest[:16]}")


def _detectors(dataset: Dataset) -> Finding:
    subject = "de-identification"
    try:
        detectors = load_detectors(dataset.settings.deidentification)
    except SaPipelineError as error:
        return Finding(subject, False, str(error))
    names = ", ".join(f"{detector.name}, digest {detector.digest[:16]}" for detector in detectors)
    return Finding(subject, bool(detectors), names or "is on, and settings name no detector")


def _writable(dataset: Dataset) -> Finding:
    existed = dataset.home.exists()
    try:
        dataset.storage.write_bytes(PROBE_FILE, b"")
        dataset.storage.remove(PROBE_FILE)
        if not existed and dataset.home.exists():
            dataset.home.rmdir()
    except SaPipelineError as error:
        return Finding("storage", False, str(error))
    return Finding("storage", True, f"{dataset.storage.url} can be written")


def _free_space(dataset: Dataset) -> Finding:
    folder = dataset.home
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Finding("free space", free >= MIN_FREE_BYTES, f"{free / 1024**3:.1f} GiB in {folder}")
