"""Whether this CPU has instructions for products of bfloat16."""

import torch

from sa_pipeline.errors import SettingsError


def require_products(dtype: torch.dtype, device: torch.device, *, setting: str) -> None:
    """Refuses products of bfloat16 on a CPU that would imitate them.

    Args:
        dtype: Of the matrices.
        device: Only a CPU is asked.
        setting: What the user calls it, for the message.

    Raises:
        SettingsError: The CPU has no instructions for them.
    """
    if is_imitated(dtype, device):
        raise SettingsError(
            f"{setting}: this CPU has no instructions for bfloat16, which would take tens of times as long as float32; "
            "choose float32."
        )


def is_imitated(dtype: torch.dtype, device: torch.device | str = "cpu") -> bool:
    """Whether the device is a CPU without instructions for products of bfloat16, where that is the dtype.

    False where torch cannot tell, since it was built without oneDNN.
    """
    # Timing a product instead would need nobody's private names, but on a busy machine even a small one in float32
    # was seen to take 20 ms.
    return (
        dtype == torch.bfloat16
        and torch.device(device).type == "cpu"
        and torch.backends.mkldnn.is_available()
        and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
