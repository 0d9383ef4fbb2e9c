"""sa_pipeline: the open data engine of Segment Anything.

```python
from sa_pipeline import MaskSettings, generate_masks, load_checkpoint

sam = load_checkpoint("tiny")
annotations = generate_masks(image, sam, MaskSettings(points_per_side=32, crop_n_layers=1))
```
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sa_pipeline.generation.generate import generate_masks
    from sa_pipeline.sam.registry import load_checkpoint
    from sa_pipeline.settings import MaskSettings

__all__ = ["MaskSettings", "generate_masks", "load_checkpoint"]

_HOMES = {
    "MaskSettings": "sa_pipeline.settings",
    "generate_masks": "sa_pipeline.generation.generate",
    "load_checkpoint": "sa_pipeline.sam.registry",
}


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used, so that importing the package does not import torch."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
