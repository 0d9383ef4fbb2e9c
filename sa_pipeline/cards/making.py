"""What a card says of how a dataset was made: shards, weights and settings."""

import json
from dataclasses import dataclass
from typing import Any

from sa_pipeline.artifacts import AssetName
from sa_pipeline.cards.asking import Questions


@dataclass(frozen=True)
class Checkpoint:
    """Weights by name and SHA-256 of their file; the shards that they were used on and the masks that they made."""

    name: str
    digest: str
    shards: int
    masks: int


@dataclass(frozen=True)
class UsedSettings:
    """The settings that an asset's files were made with, and the number of shards that were made with them."""

    asset: AssetName
    values: dict[str, Any]
    shards: int


@dataclass(frozen=True)
class Making:
    """Of the exported shards; `left_out` counts the others, begun or half made anew."""

    shards: tuple[str, ...]
    left_out: int
    checkpoints: tuple[Checkpoint, ...]
    settings: tuple[UsedSettings, ...]

    def setting(self, asset: AssetName, name: str) -> Any:
        """The value that all files of an asset were made with; None where they differ or there are none."""
        values = {item.values.get(name) for item in self.settings if item.asset is asset}
        return values.pop() if len(values) == 1 else None


_CHECKPOINTS = """
SELECT checkpoint, checkpoint_digest, count(DISTINCT shard),
       (SELECT count(*) FROM exported_masks m WHERE m.checkpoint_digest = a.checkpoint_digest)
FROM artifacts a WHERE checkpoint_digest IS NOT NULL AND shard IN (SELECT shard FROM exported)
GROUP BY 1, 2 ORDER BY 1, 2
"""
_SETTINGS = """
SELECT asset, settings::VARCHAR, count(*) FROM artifacts WHERE shard IN (SELECT shard FROM exported) GROUP BY 1, 2
"""


def collect_making(ask: Questions) -> Making:
    """Asks the catalogue how the dataset was made; what it says was read from the files' own headers."""
    order = list(AssetName)
    used = [UsedSettings(AssetName(asset), json.loads(text), shards) for asset, text, shards in ask.rows(_SETTINGS)]
    used = [item for item in used if item.values]
    return Making(
        shards=tuple(shard for (shard,) in ask.rows("SELECT shard FROM exported ORDER BY 1")),
        left_out=ask.number("SELECT count(*) FROM shards WHERE shard NOT IN (SELECT shard FROM exported)"),
        checkpoints=tuple(Checkpoint(*row) for row in ask.rows(_CHECKPOINTS)),
        settings=tuple(sorted(used, key=lambda item: (order.index(item.asset), -item.shards, str(item.values)))),
    )
