"""A dataset as the options of a command describe it, and its source of images."""

from pathlib import Path

from sa_pipeline.dataset import Dataset, open_dataset, validate_config
from sa_pipeline.errors import SourceError, StudioError
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.images.sources import list_source
from sa_pipeline.settings import preset


def dataset_of_options(
    home: Path | None,
    *,
    source: str | None,
    preset_name: str | None,
    checkpoint: str | None,
    images_per_shard: int | None = None,
    command: str,
) -> Dataset:
    """The dataset of a home with the changes that options ask for; nothing is written.

    Args:
        home: Its folder; None: as `open_dataset` finds it.
        source: Folder, tar file or URL of images; None: the home's own.
        preset_name: None: the home's own settings.
        checkpoint: None: the settings' own.
        images_per_shard: None: the settings' own.
        command: Named where an option has a wrong value.

    Raises:
        SettingsError: An option has a wrong value.
    """
    known = open_dataset(home)
    settings = known.settings
    if preset_name is not None:
        kept = {
            "studio": settings.studio,
            "rounds": settings.rounds,
            "audit": settings.audit,
            "detector": settings.detector,
        }
        settings = preset(preset_name).model_copy(update=kept)
    if checkpoint is not None:
        settings = settings.model_copy(update={"checkpoint": checkpoint})
    if images_per_shard is not None:
        images = settings.images.model_copy(update={"images_per_shard": images_per_shard})
        settings = settings.model_copy(update={"images": images})
    changes: dict[str, object] = {"settings": settings}
    if source is not None:
        changes["source"] = source if "://" in source else str(Path(source).expanduser().resolve())
    config = known.config.model_copy(update=changes)
    return open_dataset(known.home, validate_config(config.model_dump(), name=command))


def dataset_with_images(home: Path | None) -> Dataset:
    """The dataset of a home; a mistyped one is not made into a dataset.

    Raises:
        StudioError: It holds no images.
    """
    dataset = open_dataset(home)
    if not list_shards(dataset.storage):
        raise StudioError(
            f"{dataset.home} holds no images yet; begin with `sa-pipeline annotate SOURCE --home {dataset.home}`."
        )
    return dataset


def require_images(dataset: Dataset) -> str:
    """The dataset's source, in which images were found; asked before anything is written.

    Raises:
        SourceError: The dataset has no source, it cannot be listed, or it holds nothing.
    """
    source = dataset.config.source
    if source is None:
        raise SourceError(
            f"{dataset.home}: no source is set; name one: sa-pipeline run SOURCE --output {dataset.home}."
        )
    # Listed before anything is written, also because a home within its own source is known by its settings.
    if next(list_source(source), None) is None and not list_shards(dataset.storage):
        raise SourceError(
            f"Source {source} holds no file that may be an image; hidden files and sidecars such as .json are passed "
            "over. Name a folder, tar or URL of images."
        )
    return source
