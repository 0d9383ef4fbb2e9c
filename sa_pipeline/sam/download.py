"""Download of the official checkpoints: resumable, verified, published whole."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from sa_pipeline.artifacts import digest_of
from sa_pipeline.errors import CheckpointError
from sa_pipeline.progress import Progress
from sa_pipeline.sam.registry import OFFICIAL, OfficialCheckpoint, checkpoint_folder

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 30


def download_checkpoint(name: str, progress: Progress) -> Path:
    """Downloads an official checkpoint into the checkpoint folder; goes on where an earlier download stopped.

    Args:
        name: `vit_b`, `vit_l` or `vit_h`.
        progress: Shows the mebibytes that have come.

    Returns:
        The file. One that is there already is verified and left as it is.

    Raises:
        CheckpointError: The name is not an official one, the network fails, or the digest is wrong.
    """
    if name not in OFFICIAL:
        raise CheckpointError(f"Checkpoint {name} cannot be downloaded; choose one of {', '.join(OFFICIAL)}.")
    official = OFFICIAL[name]
    path = checkpoint_folder() / official.file_name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        _fetch(official, partial, progress)
        _verify(official, partial)
        partial.replace(path)
    else:
        _verify(official, path)
    return path


def _fetch(official: OfficialCheckpoint, partial: Path, progress: Progress) -> None:
    done = partial.stat().st_size if partial.exists() else 0
    if done >= official.size:
        return
    request = urllib.request.Request(official.url, headers={"Range": f"bytes={done}-"})  # noqa: S310  # https only
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
            resumed = response.status == 206
            with partial.open("ab" if resumed else "wb") as file:
                rest = official.size - (done if resumed else 0)
                chunks: Iterator[bytes] = iter(lambda: response.read(CHUNK_BYTES), b"")
                description = f"{official.file_name} (MiB)"
                for chunk in progress.track(chunks, description=description, total=-(-rest // CHUNK_BYTES)):
                    file.write(chunk)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise CheckpointError(
            f"{official.url} cannot be downloaded ({reason}); try again to go on where it stopped, or download "
            f"{official.file_name} elsewhere and put it into {checkpoint_folder()}."
        ) from None


def _verify(official: OfficialCheckpoint, path: Path) -> None:
    digest = digest_of(path)
    if digest != official.sha256:
        raise CheckpointError(
            f"{path} has the SHA-256 {digest}, expected {official.sha256}; delete it and download it again."
        )
