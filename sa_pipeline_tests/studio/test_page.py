"""The page's built files, as a browser gets them."""

import gzip

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from sa_pipeline.studio.page import Page


@pytest.fixture
def page(tmp_path) -> TestClient:
    (tmp_path / "index.html").write_text("<title>studio</title>")
    (tmp_path / "ort").mkdir()
    (tmp_path / "ort" / "runtime.wasm").write_bytes(b"code" * 1000)
    (tmp_path / "ort" / "runtime.wasm.gz").write_bytes(gzip.compress(b"code" * 1000))
    return TestClient(Starlette(routes=[Mount("/", Page(tmp_path))]))


def test_a_packed_file_is_sent_packed_to_those_who_take_it(page: TestClient):
    packed = page.get("/ort/runtime.wasm", headers={"Accept-Encoding": "gzip"})
    plain = page.get("/ort/runtime.wasm", headers={"Accept-Encoding": "identity"})
    assert packed.content == plain.content == b"code" * 1000
    assert packed.headers["content-type"] == plain.headers["content-type"] == "application/wasm"
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    again = page.get("/ort/runtime.wasm", headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["etag"]})
    assert again.status_code == 304


def test_an_address_of_the_page_shows_the_page_and_a_missing_file_is_missing(page: TestClient):
    assert page.get("/reviews").text == "<title>studio</title>"
    assert page.get("/ort/other.wasm").status_code == 404
