"""Photographs and cut-outs whose licence permits training on them: from Debian packages and scikit-image's wheel."""

import hashlib
import io
import lzma
import os
import tarfile
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from sa_pipeline.errors import SourceError
from sa_pipeline.progress import Progress

MIRROR_VARIABLE = "SA_PIPELINE_DEBIAN_MIRROR"
MIRROR = "http://deb.debian.org/debian"

MIN_PHOTOGRAPH_SIDE = 300
"""px; smaller pictures in the packages are thumbnails."""

MAX_SIDE_IN_MEMORY = 2400
"""px; photographs are brought down to this longer side when read, so that all of them fit into memory."""

WHEEL_PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "brick", "grass", "gravel")
"""Images inside scikit-image's wheel that are loaded without a download; licences in its `data/README.txt`."""


@dataclass(frozen=True)
class DebianPackage:
    """A package of Debian bookworm and what in it is used.

    Attributes:
        path: Of the `.deb` below the mirror's root.
        sha256: Digest of the `.deb`.
        licence: Of the images used, as `debian/copyright` in the package names it.
        photographs: Glob patterns of photographs, matched against paths inside the package.
        cutouts: Glob patterns of objects with a transparent surrounding.
    """

    path: str
    sha256: str
    licence: str
    photographs: tuple[str, ...] = ()
    cutouts: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """Name of the `.deb`."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def name(self) -> str:
        """Name of the package."""
        return self.file_name.split("_", 1)[0]


PACKAGES = (
    DebianPackage(
        "pool/main/l/lomiri-wallpapers/lomiri-wallpapers-16.04_20.04.0-2_all.deb",
        "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
        "CC-BY-4.0, CC-BY-SA-4.0, CC0-1.0",
        photographs=("usr/share/backgrounds/*.jpg",),
    ),
    DebianPackage(
        "pool/main/l/lomiri-wallpapers/lomiri-wallpapers-20.04_20.04.0-2_all.deb",
        "d44e89b8473aafe64a5b678f014862dc31335aaaf18665c544d985d854f1a709",
        "CC-BY-SA-3.0",
        photographs=("usr/share/backgrounds/*.jpg",),
    ),
    DebianPackage(
        "pool/main/m/mate-backgrounds/mate-backgrounds_1.26.0-1_all.deb",
        "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
        "GPL-2+",
        photographs=("usr/share/backgrounds/mate/nature/*.jpg",),
    ),
    DebianPackage(
        "pool/main/p/palapeli/palapeli-data_22.12.3-1_all.deb",
        "69a15dce2ac25ed8708ac518cd0cee5f4eb0c70ed15da2fdb8899a19ac0ee058",
        "GPL-2+",
        photographs=("usr/share/palapeli/collection/*.jpg",),
    ),
    DebianPackage(
        "pool/main/p/plasma-workspace-wallpapers/plasma-workspace-wallpapers_5.27.5-2_all.deb",
        "32cd18b71c8c938a18b3b351f217c02ac590e323caa3cf322fbb875ce8892f8b",
        "GPL-2+",
        photographs=(
            "usr/share/wallpapers/*/contents/images/2560x1600.*",
            "usr/share/wallpapers/*/contents/images/3200x2000.*",
            "usr/share/wallpapers/*/contents/images/3840x2160.*",
            "usr/share/wallpapers/*/contents/images/5120x2880.*",
        ),
    ),
    DebianPackage(
        "pool/main/t/tuxpaint/tuxpaint-data_0.9.28-sdl2-1_all.deb",
        "f5d0de8f9a70d2efc1241d19f26168cb8bf279f1b77abd3631e7a1a55c40e5e5",
        "GPL-2+",
        photographs=("usr/share/tuxpaint/templates/*.jpg", "usr/share/tuxpaint/starters/*.jpeg"),
    ),
    DebianPackage(
        "pool/main/t/tuxpaint-stamps/tuxpaint-stamps-default_2022.06.04-1_all.deb",
        "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
        "GPL-2",
        cutouts=tuple(
            f"usr/share/tuxpaint/stamps/{folder}/*.png"
            for folder in (
                "animals", "clothes", "food", "hobbies", "household", "medical", "military", "naturalforces",
                "people", "plants", "seasonal", "space", "sports", "town", "vehicles",
            )
        ),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Library:
    """What scenes are composed from, in memory.

    Attributes:
        photographs: (H, W, 3) uint8 RGB each.
        cutouts: (H, W, 4) uint8 RGBA each, cropped to what is not transparent.
    """

    photographs: Sequence[npt.NDArray[np.uint8]]
    cutouts: Sequence[npt.NDArray[np.uint8]]


def fetch_packages(folder: Path, progress: Progress, packages: Sequence[DebianPackage] = PACKAGES) -> None:
    """Downloads and unpacks the images of Debian packages into `folder`; what is there already is not fetched again.

    Raises:
        SourceError: A package cannot be downloaded or has another digest.
    """
    for package in progress.track(packages, description="packages with photographs", total=len(packages)):
        target = folder / package.name
        if target.is_dir():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        archive = folder / package.file_name
        if not archive.is_file():
            _download(package, archive)
        if hashlib.sha256(archive.read_bytes()).hexdigest() != package.sha256:
            raise SourceError(f"{archive}: expected SHA-256 {package.sha256}; remove the file and try again.")
        aside = folder / f".{package.name}.aside"
        _unpack(archive, aside)
        aside.replace(target)
        archive.unlink()


def load_library(folder: Path, packages: Sequence[DebianPackage] = PACKAGES) -> Library:
    """Reads what `fetch_packages` brought, and scikit-image's own photographs, in a fixed order."""
    import skimage.data

    photographs = [_as_rgb(np.asarray(getattr(skimage.data, name)())) for name in WHEEL_PHOTOGRAPHS]
    cutouts = []
    for package in packages:
        root = folder / package.name
        for path in _matching(root, package.photographs):
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if image is not None and min(image.shape[:2]) >= MIN_PHOTOGRAPH_SIDE:
                photographs.append(_within(np.ascontiguousarray(image[..., ::-1]), MAX_SIDE_IN_MEMORY))
        for path in _matching(root, package.cutouts):
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if image is not None and image.ndim == 3 and image.shape[2] == 4 and image.dtype == np.uint8:
                cutouts.extend(_cropped(np.ascontiguousarray(image[..., [2, 1, 0, 3]])))
    return Library(photographs, cutouts)


def _matching(root: Path, patterns: Sequence[str]) -> Iterator[Path]:
    found = {path for pattern in patterns for path in root.glob(pattern.replace("/*.png", "/**/*.png"))}
    # Mirrored and cartoon stamps add nothing: scenes are mirrored anyway, and drawings are drawn by our own code.
    return iter(sorted(path for path in found if "cartoon" not in str(path) and "mirror" not in path.name))


def _cropped(image: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    left, top, width, height = cv2.boundingRect((image[..., 3] > 127).astype(np.uint8))
    if min(width, height) < 24:
        return []
    return [_within(np.ascontiguousarray(image[top : top + height, left : left + width]), 700)]


def _as_rgb(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image[..., :3])


def _within(image: npt.NDArray[np.uint8], longer_side: int) -> npt.NDArray[np.uint8]:
    scale = longer_side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _download(package: DebianPackage, archive: Path) -> None:
    url = f"{os.environ.get(MIRROR_VARIABLE, MIRROR)}/{package.path}"
    aside = archive.with_name(f"{archive.name}.part")
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, aside.open("wb") as file:  # noqa: S310
            while block := answer.read(1 << 20):
                file.write(block)
    except OSError as error:
        raise SourceError(
            f"{url} cannot be downloaded: {error}; put the file into {archive.parent} or set {MIRROR_VARIABLE} to a "
            "mirror of Debian."
        ) from error
    aside.replace(archive)


def _unpack(archive: Path, target: Path) -> None:
    """Unpacks the images of a `.deb`: an `ar` archive that holds `data.tar.xz`."""
    with archive.open("rb") as file:
        size = _seek_member(file, "data.tar.xz", archive)
        with lzma.open(io.BytesIO(file.read(size))) as data, tarfile.open(fileobj=data, mode="r|") as tar:
            for member in tar:
                if member.isfile() and member.name.lower().endswith((".png", ".jpg", ".jpeg")):
                    tar.extract(member, target, filter="data")


def _seek_member(file: BinaryIO, name: str, archive: Path) -> int:
    file.seek(len(b"!<arch>\n"))
    while header := file.read(60):
        size = int(header[48:58])
        if header[:16].decode().strip().rstrip("/") == name:
            return size
        file.seek(size + size % 2, os.SEEK_CUR)
    raise SourceError(f"{archive} holds no {name}; expected a package of Debian bookworm.")
