"""What assets are handed: the dataset and the model in use."""

import functools

import dagster as dg

from sa_pipeline.allocator import keep_freed_memory
from sa_pipeline.artifacts import CheckpointRef
from sa_pipeline.dataset import Dataset, open_dataset
from sa_pipeline.promotion import checkpoint_in_use, ref_in_use
from sa_pipeline.sam.registry import LoadedModel, load_model


class DatasetResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The dataset of a home folder."""

    home: str | None = None
    """The folder; by default `SA_PIPELINE_HOME`, else `./sa_pipeline_home`."""

    def open(self) -> Dataset:
        """Opens the dataset with the settings that its home holds now."""
        return open_dataset(self.home)

    def checkpoint(self) -> CheckpointRef:
        """The weights in use: those promoted last, else those that the dataset's settings name."""
        return ref_in_use(self.open())

    def model(self) -> LoadedModel:
        """The model, loaded once per process and checkpoint."""
        return _model(checkpoint_in_use(self.open()), self.checkpoint().digest)


@functools.lru_cache(maxsize=1)
def _model(name: str, _digest: str) -> LoadedModel:
    keep_freed_memory()
    return load_model(name)
