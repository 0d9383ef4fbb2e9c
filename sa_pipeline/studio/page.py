"""The page's built files; index.html also for the page's own addresses, so that they can be reloaded."""

import mimetypes
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

STATIC = Path(__file__).parent / "static"

_NOT_BUILT = "The page has not been built; run `make web` in the source folder, then load this again.\n"

# Windows keeps these in its registry, where other programs change them.
for _suffix, _type in ((".mjs", "text/javascript"), (".js", "text/javascript"), (".wasm", "application/wasm")):
    mimetypes.add_type(_type, _suffix)


class Page(StaticFiles):
    """Serves the folder of built files."""

    def __init__(self, folder: Path = STATIC) -> None:
        super().__init__(directory=folder, html=True, check_dir=False)
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers with a file, or with how to make the files."""
        if (self._folder / "index.html").is_file():
            await super().__call__(scope, receive, send)
        else:
            await PlainTextResponse(_NOT_BUILT, 503)(scope, receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, or the page itself."""
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            # A missing file is missing; an address without a suffix is one of the page's own.
            if error.status_code != 404 or Path(path).suffix:
                raise
            path = "index.html"
            response = await super().get_response(path, scope)
        packed = self._folder / f"{path}.gz"
        if response.status_code == 200 and _takes_gzip(scope) and packed.is_file():
            headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding", "ETag": response.headers["ETag"]}
            response = FileResponse(packed, headers=headers, media_type=response.media_type)
        # The names of built files carry a digest of their content.
        kept = "public, max-age=31536000, immutable" if path.startswith("assets/") else "no-cache"
        response.headers["Cache-Control"] = kept
        return response


def _takes_gzip(scope: Scope) -> bool:
    return "gzip" in Headers(scope=scope).get("accept-encoding", "")
