"""What is verified: a dataset with its home, the storage of one, or a folder with exports and nothing else."""

from dataclasses import dataclass
from pathlib import Path

from sa_pipeline.artifacts import AssetName, artifact_name, export_tar_name
from sa_pipeline.dataset import SETTINGS_FILE, Dataset, DatasetConfig, open_dataset, open_stored
from sa_pipeline.errors import MissingFileError
from sa_pipeline.images.ledger import LEDGER, list_shards
from sa_pipeline.storage import Storage

TAR, INDEX = ".tar", ".index.json"
PREFIX = "sa_"


@dataclass(frozen=True)
class Place:
    """Where the files lie.

    Attributes:
        dataset: Of exports alone, only its storage is meant.
        alone: Whether there are exports and nothing else, in the storage's root.
        settings_known: Whether the dataset's settings are its own, so that stale files can be told.
        stored: Whether they lie in a storage that was named, maybe somebody else's: what finds faces and plates is code
            and files of whoever wrote them, so it is not loaded, and not compared.
    """

    dataset: Dataset
    alone: bool
    settings_known: bool
    stored: bool = False

    @property
    def storage(self) -> Storage:
        """Where the files lie."""
        return self.dataset.storage

    @property
    def exports(self) -> str:
        """Folder of the exports within the storage."""
        return "" if self.alone else AssetName.SA1B_EXPORT.value

    def tar_name(self, shard: str) -> str:
        """Name of a shard's tar within the storage."""
        return self._within(export_tar_name(shard))

    def index_name(self, shard: str) -> str:
        """Name of a shard's index within the storage."""
        return self._within(artifact_name(AssetName.SA1B_EXPORT, shard))

    def exported_files(self) -> list[str]:
        """Names, without the folder, of what lies among the exports; files that are being written are not listed."""
        return [name.rsplit("/", 1)[-1] for name in self.storage.list(self.exports)]

    def again(self, shard: str) -> str:
        """What to do about a missing file."""
        return "get it from where it was made" if self.alone else f"run shard {shard} again"

    def remedy(self, shard: str) -> str:
        """What to do about a damaged file, which counts as fresh while it lies there."""
        return "get a whole copy of it from where it was made" if self.alone else f"delete it and {self.again(shard)}"

    def _within(self, name: str) -> str:
        return name.removeprefix(f"{AssetName.SA1B_EXPORT}/") if self.alone else name


def find_place(where: str | None, home: Path | None = None) -> Place:
    """Tells what a path or URL is.

    Args:
        where: The home of a dataset, the root of a dataset's storage, or a folder of exports; None: the home. Of a
            storage, the settings that lie in it are the dataset's.
        home: As in `open_dataset`; used where `where` is None.

    Raises:
        MissingFileError: There is no dataset and no export.
        StorageError: It cannot be reached.
        SettingsError: The settings of the home, or of the storage, are wrong.
    """
    if where is None or _is_home(where):
        dataset = open_dataset(home if where is None else where)
        place = Place(dataset, alone=False, settings_known=True)
        named = str(dataset.home)
    else:
        stored = open_stored(where) if "://" in where else None
        dataset = stored or Dataset(home=Path(where), config=DatasetConfig(), storage=Storage(where))
        place = Place(dataset, alone=False, settings_known=stored is not None, stored=stored is not None)
        named = where
    if list_shards(place.storage) or list_export_shards(place):
        return place
    place = Place(dataset, alone=True, settings_known=False)
    if list_export_shards(place):
        return place
    raise MissingFileError(
        f"{named} holds neither a dataset nor exports; expected the home of a dataset, the URL of its storage (with "
        f"the folder {LEDGER}), or a folder with sa_000000.tar and sa_000000.index.json."
    )


def list_export_shards(place: Place) -> list[str]:
    """Shards of which a tar or an index lies among the exports, sorted."""
    return sorted({shard for name in place.exported_files() if (shard := export_shard(name)) is not None})


def export_shard(name: str) -> str | None:
    """The shard that a file of an export is of; None for every other name."""
    for suffix in (TAR, INDEX):
        shard = name.removeprefix(PREFIX).removesuffix(suffix)
        if shard.isalnum() and name == f"{PREFIX}{shard}{suffix}":
            return shard
    return None


def _is_home(where: str) -> bool:
    return "://" not in where and (Path(where).expanduser() / SETTINGS_FILE).is_file()
