"""Photographs come out of a Debian package, whole or not at all, and the documentation names every package."""

import hashlib
import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from sa_pipeline.errors import SourceError
from sa_pipeline.progress import SilentProgress
from sa_pipeline.training.photographs import (
    MIRROR_VARIABLE,
    PACKAGES,
    WHEEL_PHOTOGRAPHS,
    DebianPackage,
    fetch_packages,
    load_library,
)


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def deb(files: dict[str, bytes]) -> bytes:
    """An `ar` archive as dpkg-deb writes it: each member behind a header of 60 bytes, padded to an even length."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    archive = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", data.getvalue())):
        archive += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content
        archive += b"\n" * (len(content) % 2)
    return archive


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DebianPackage:
    stamp = np.zeros((60, 90, 4), np.uint8)
    stamp[10:50, 20:80] = (10, 20, 200, 255)
    archive = deb(
        {
            "usr/share/pictures/cat.png": png(skimage.data.chelsea()[..., ::-1]),
            "usr/share/pictures/icon.png": png(np.zeros((32, 32, 3), np.uint8)),
            "usr/share/stamps/animals/cat/thing.png": png(stamp),
            "usr/share/doc/readme.txt": b"text",
        }
    )
    (tmp_path / "mirror" / "pool").mkdir(parents=True)
    (tmp_path / "mirror" / "pool" / "pictures_1.0_all.deb").write_bytes(archive)
    monkeypatch.setenv(MIRROR_VARIABLE, (tmp_path / "mirror").as_uri())
    return DebianPackage(
        "pool/pictures_1.0_all.deb",
        hashlib.sha256(archive).hexdigest(),
        "CC0-1.0",
        photographs=("usr/share/pictures/*.png",),
        cutouts=("usr/share/stamps/animals/*.png",),
    )


def test_a_package_gives_its_photographs_and_its_cut_outs(tmp_path: Path, package: DebianPackage):
    fetch_packages(tmp_path / "photographs", SilentProgress(), [package])
    library = load_library(tmp_path / "photographs", [package])
    assert len(library.photographs) == len(WHEEL_PHOTOGRAPHS) + 1
    np.testing.assert_array_equal(library.photographs[-1], skimage.data.chelsea())
    assert [cutout.shape for cutout in library.cutouts] == [(40, 60, 4)]
    assert library.cutouts[0][0, 0].tolist() == [200, 20, 10, 255]


def test_what_was_fetched_is_not_fetched_again(tmp_path: Path, package: DebianPackage, monkeypatch: pytest.MonkeyPatch):
    fetch_packages(tmp_path / "photographs", SilentProgress(), [package])
    monkeypatch.setenv(MIRROR_VARIABLE, (tmp_path / "gone").as_uri())
    fetch_packages(tmp_path / "photographs", SilentProgress(), [package])


def test_a_package_of_another_digest_is_refused_and_leaves_no_images(tmp_path: Path, package: DebianPackage):
    archive = tmp_path / "mirror" / "pool" / "pictures_1.0_all.deb"
    archive.write_bytes(archive.read_bytes() + b"more")
    with pytest.raises(SourceError, match="expected SHA-256"):
        fetch_packages(tmp_path / "photographs", SilentProgress(), [package])
    assert not (tmp_path / "photographs" / "pictures").exists()


def test_a_mirror_that_does_not_answer_is_named(
    tmp_path: Path, package: DebianPackage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(MIRROR_VARIABLE, (tmp_path / "gone").as_uri())
    with pytest.raises(SourceError, match=r"gone/pool/pictures_1\.0_all\.deb cannot be downloaded"):
        fetch_packages(tmp_path / "photographs", SilentProgress(), [package])


def test_the_documentation_names_every_package_and_its_licence():
    text = (Path(__file__).parents[2] / "docs" / "tiny-model-card.md").read_text()
    for package in PACKAGES:
        row = next(line for line in text.splitlines() if f"`{package.name}`" in line)
        assert package.licence in row
    for name in WHEEL_PHOTOGRAPHS:
        assert name in text
