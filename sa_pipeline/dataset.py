"""One dataset: its home folder, its settings file, its storage."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sa_pipeline.errors import MissingFileError, SettingsError, describe_validation_error
from sa_pipeline.settings import CardSettings, PipelineSettings, preset
from sa_pipeline.storage import Storage

HOME_VARIABLE = "SA_PIPELINE_HOME"
STORAGE_VARIABLE = "SA_PIPELINE_STORAGE"
SHARED_DATABASE_VARIABLE = "SA_PIPELINE_DATABASE"
"""URL of a PostgreSQL database for both Dagster and the annotation studio."""
DEFAULT_HOME = "sa_pipeline_home"
DEFAULT_PRESET = "sa1b"
SETTINGS_FILE = "settings.yaml"
DAGSTER_FOLDER = "dagster"
CATALOG_FILE = "catalog.duckdb"


class DatasetConfig(BaseModel):
    """What the settings file of a home holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str | None = Field(default=None, description="folder, tar or fsspec URL that images are read from")
    storage_url: str | None = Field(default=None, description="where all files are kept; None: in the home itself")
    card: CardSettings = Field(
        default=CardSettings(), description="what the owner states in the dataset's cards; presets leave it as it is"
    )
    settings: PipelineSettings = Field(default_factory=lambda: preset(DEFAULT_PRESET))

    @model_validator(mode="after")
    def _apart(self) -> Self:
        """A folder's home is known by its settings file; a bucket holds only files, which would be read as images."""
        source, storage = (f"{url.rstrip('/')}/" if url else None for url in (self.source, self.storage_url))
        if source and storage and "://" in source and storage.startswith(source):
            raise ValueError(
                f"storage_url {self.storage_url} lies within the source {self.source}: exports would be read as "
                "images; name another prefix"
            )
        return self


@dataclass(frozen=True)
class Dataset:
    """A home folder on this machine, its configuration, and the storage that holds its files."""

    home: Path
    config: DatasetConfig
    storage: Storage

    @property
    def settings(self) -> PipelineSettings:
        """All settings of the dataset."""
        return self.config.settings

    @property
    def dagster_home(self) -> Path:
        """Where Dagster keeps runs and events of this dataset."""
        return self.home / DAGSTER_FOLDER

    @property
    def ledger_index(self) -> Path:
        """What the ledger holds, kept on this machine so that looking for new images is quick; may be deleted."""
        return self.home / "cache" / "ledger.sqlite"

    @property
    def catalog_path(self) -> Path:
        """The DuckDB catalogue."""
        return self.home / CATALOG_FILE


def open_dataset(home: str | Path | None = None, config: DatasetConfig | None = None) -> Dataset:
    """Opens the dataset of a home folder.

    Args:
        home: The folder; by default the environment variable `SA_PIPELINE_HOME`, else `./sa_pipeline_home`. It need
            not exist yet.
        config: Used in place of the home's settings file. Environment variables do not apply to it.

    Returns:
        The dataset. Where `SA_PIPELINE_STORAGE` is set, the settings file lies in that storage, so that all machines
        read the same one; else, or where there is none, it is the home's own. Without a settings file, the preset
        `sa1b` holds. `SA_PIPELINE_SOURCE`, `SA_PIPELINE_STORAGE`, `SA_PIPELINE_PRESET` and `SA_PIPELINE_CHECKPOINT`
        override what the file says.

    Raises:
        SettingsError: The settings file or an environment variable has a wrong field or value.
        StorageError: The storage does not answer.
    """
    folder = Path(home if home is not None else os.environ.get(HOME_VARIABLE, DEFAULT_HOME)).expanduser().absolute()
    if config is None:
        config = _with_environment(_read_config(folder), os.environ)
    return Dataset(home=folder, config=config, storage=Storage(config.storage_url or folder))


def open_stored(url: str) -> Dataset | None:
    """Opens a dataset by its storage alone, with the settings that lie there.

    Args:
        url: Path or URL of the storage.

    Returns:
        The dataset, whose home is of no meaning; None where no settings lie there. `SA_PIPELINE_PRESET` and
        `SA_PIPELINE_CHECKPOINT` override what they say.

    Raises:
        SettingsError: The settings file or an environment variable has a wrong field or value.
        StorageError: The storage does not answer.
    """
    storage = Storage(url)
    config = _read_settings_file(storage)
    if config is None:
        return None
    return Dataset(Path(url), _with_environment(config, {**os.environ, STORAGE_VARIABLE: url}), storage)


def is_home(folder: Path) -> bool:
    """Whether a folder is the home of a dataset that was run."""
    return (folder / SETTINGS_FILE).is_file() and (folder / DAGSTER_FOLDER).is_dir()


def save_config(dataset: Dataset) -> None:
    """Writes the dataset's settings file, whole or not at all.

    It goes into the storage that `SA_PIPELINE_STORAGE` names, or else into the home.

    Raises:
        StorageError: It cannot be written.
    """
    text = yaml.safe_dump(dataset.config.model_dump(mode="json"), sort_keys=False)
    Storage(os.environ.get(STORAGE_VARIABLE) or dataset.home).write_bytes(SETTINGS_FILE, text.encode())


def _read_config(home: Path) -> DatasetConfig:
    shared = os.environ.get(STORAGE_VARIABLE)
    for url in (shared, home):
        if url and (config := _read_settings_file(Storage(url))) is not None:
            return config
    return DatasetConfig()


def _read_settings_file(place: Storage) -> DatasetConfig | None:
    try:
        return _parse_config(place.read_bytes(SETTINGS_FILE), name=place.url_of(SETTINGS_FILE))
    except MissingFileError:
        return None


def _parse_config(content: bytes, *, name: str) -> DatasetConfig:
    try:
        values = yaml.safe_load(content.decode())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}: not readable as YAML ({error}); mend it or delete it.") from None
    if not isinstance(values, dict):
        raise SettingsError(
            f"{name}: expected a mapping with source, storage_url, card and settings; mend it or delete it."
        )
    return validate_config(values, name=name)


def _with_environment(config: DatasetConfig, environment: Mapping[str, str]) -> DatasetConfig:
    values = config.model_dump()
    if name := environment.get("SA_PIPELINE_PRESET"):
        kept = config.settings.model_dump(
            include={"checkpoint", "deidentification", "studio", "rounds", "audit", "detector"}
        )
        values["settings"] = preset(name).model_dump() | kept
    if source := environment.get("SA_PIPELINE_SOURCE"):
        values["source"] = source
    if url := environment.get(STORAGE_VARIABLE):
        values["storage_url"] = url
    if checkpoint := environment.get("SA_PIPELINE_CHECKPOINT"):
        values["settings"]["checkpoint"] = checkpoint
    return validate_config(values, name="environment variables SA_PIPELINE_*")


def validate_config(values: Mapping[str, Any], *, name: str) -> DatasetConfig:
    """Validates nested plain values that come from the place called `name`.

    Raises:
        SettingsError: A key is unknown or a value is out of range.
    """
    try:
        return DatasetConfig.model_validate(values)
    except ValidationError as error:
        raise SettingsError(describe_validation_error(error, name=name)) from None
