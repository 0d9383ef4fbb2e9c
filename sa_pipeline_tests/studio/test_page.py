"""The page's built files, as a browser gets them."""

import asyncio
import gzip
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from sa_pipeline.studio.page import Page

Get = Callable[..., httpx.Response]


@pytest.fixture
def get(tmp_path) -> Iterator[Get]:
    """Asks for an address, with headers by name."""
    (tmp_path / "index.html").write_text("<title>studio</title>")
    (tmp_path / "ort").mkdir()
    (tmp_path / "ort" / "runtime.wasm").write_bytes(b"code" * 1000)
    (tmp_path / "ort" / "runtime.wasm.gz").write_bytes(gzip.compress(b"code" * 1000))
    transport = httpx.ASGITransport(Starlette(routes=[Mount("/", Page(tmp_path))]))

    async def ask(address: str, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://studio") as client:
            return await client.get(address, headers={name.replace("_", "-"): text for name, text in headers.items()})

    # Playwright's synchronous interface leaves an event loop running in the main thread
    with ThreadPoolExecutor(1) as thread:
        yield lambda address, **headers: thread.submit(lambda: asyncio.run(ask(address, **headers))).result()


def test_a_packed_file_is_sent_packed_to_those_who_take_it(get: Get):
    packed = get("/ort/runtime.wasm", accept_encoding="gzip")
    plain = get("/ort/runtime.wasm", accept_encoding="identity")
    assert packed.content == plain.content == b"code" * 1000
    assert packed.headers["content-type"] == plain.headers["content-type"] == "application/wasm"
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert get("/ort/runtime.wasm", accept_encoding="gzip", if_none_match=packed.headers["etag"]).status_code == 304


def test_an_address_of_the_page_shows_the_page_and_a_missing_file_is_missing(get: Get):
    assert get("/reviews").text == "<title>studio</title>"
    assert get("/ort/other.wasm").status_code == 404
