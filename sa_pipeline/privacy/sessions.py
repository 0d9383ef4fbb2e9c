"""Opening a network in ONNX."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnxruntime


def open_session(model: str | bytes) -> "onnxruntime.InferenceSession":
    """Opens a network for the CPU, whose sums do not depend on the device.

    Args:
        model: Path of a file, or what it holds.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Threads that wait actively would take the processor from whatever else runs beside.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
