"""The dashboard's files as the broker serves them, from a build that is made up."""

from __future__ import annotations

import gzip
from pathlib import Path

import httpx
import pytest

from ark_broker.api import dashboard
from tests.api.access.conftest import locked_broker
from tests.support.api import Api, StartApi

INDEX = "<!doctype html><title>the made-up build</title><script src=/ui/assets/main-1a2b3c4d.js></script>"
SCRIPT = "document.title = 'built'\n" * 50
POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
}


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build, which the brokers of the test serve; beside it a file that is nobody's business."""
    directory = tmp_path / "build"
    (directory / "assets").mkdir(parents=True)
    (directory / "index.html").write_text(INDEX)
    (directory / "icon.svg").write_text("<svg/>")
    script = directory / "assets" / "main-1a2b3c4d.js"
    script.write_text(SCRIPT)
    script.with_name(script.name + ".br").write_bytes(b"brotli's")
    script.with_name(script.name + ".gz").write_bytes(gzip.compress(SCRIPT.encode(), mtime=0))
    (directory / "assets" / "main-1a2b3c4d.css").write_text("body { color: black }")
    (tmp_path / "secret.txt").write_text("nobody's business")
    monkeypatch.setattr(dashboard, "BUILD", directory)
    return directory


async def get(api: Api, path: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.http.get(path, headers={"Accept-Encoding": "identity"} | named)


def assert_strict(response: httpx.Response) -> None:
    assert set(response.headers["content-security-policy"].split("; ")) == POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in response.headers["permissions-policy"]


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize(
    "path", ["/", "/ui", "/ui/", "/ui/sessions", "/ui/sessions/a%2Fb.c", "/ui/index.html", "/?x=1"]
)
async def test_every_path_of_a_page_gets_the_index(start_api: StartApi, path: str) -> None:
    async with start_api() as api:
        response = await get(api, path)

    assert (response.status_code, response.text) == (200, INDEX)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert_strict(response)


async def test_the_index_is_sent_again_only_when_it_is_another(start_api: StartApi, build: Path) -> None:
    async with start_api() as api:
        tag = (await get(api, "/")).headers["etag"]
        again = [await get(api, "/ui/x", If_None_Match=match) for match in (tag, f'"a", W/{tag}', "*", '"a"')]
        (build / "index.html").write_text("the next build")
        changed = await get(api, "/", If_None_Match=tag)

    assert [response.status_code for response in again] == [304, 304, 304, 200]
    assert (again[0].content, again[0].headers["etag"]) == (b"", tag)
    assert_strict(again[0])
    assert (changed.status_code, changed.text) == (200, "the next build")


@pytest.mark.usefixtures("build")
async def test_assets_are_kept_for_ever_and_say_what_they_are(start_api: StartApi) -> None:
    async with start_api() as api:
        script, style = [await get(api, f"/ui/assets/main-1a2b3c4d.{suffix}") for suffix in ("js", "css")]
        icon = await get(api, "/ui/icon.svg")

    assert (script.text, style.text, icon.text) == (SCRIPT, "body { color: black }", "<svg/>")
    for response, media in ((script, "text/javascript; charset=utf-8"), (style, "text/css; charset=utf-8")):
        assert response.headers["content-type"] == media
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert_strict(response)
    assert icon.headers["content-type"] == "image/svg+xml"
    assert icon.headers["cache-control"] == "no-cache"


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("br;q=1.0, gzip;q=0.8", "br"),
        ("br;q=0, GZIP", "gzip"),
        ("gzip; q=0.000", None),
        ("identity", None),
        ("", None),
    ],
)
async def test_assets_go_out_as_small_as_the_client_can_read_them(
    start_api: StartApi, accepted: str, coding: str | None
) -> None:
    async with start_api() as api:
        request = api.http.build_request("GET", "/ui/assets/main-1a2b3c4d.js", headers={"Accept-Encoding": accepted})
        response = await api.http.send(request, stream=True)
        raw = b"".join([piece async for piece in response.aiter_raw()])

    assert response.headers.get("content-encoding") == coding
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["vary"] == "Accept-Encoding"
    assert raw == {"br": b"brotli's", "gzip": gzip.compress(SCRIPT.encode(), mtime=0), None: SCRIPT.encode()}[coding]


@pytest.mark.parametrize(("accepted", "coding"), [("gzip", "gzip"), ("identity", None)])
async def test_an_asset_that_is_there_in_gzip_alone_can_be_read_by_everybody(
    start_api: StartApi, build: Path, accepted: str, coding: str | None
) -> None:
    (build / "assets" / "main-1a2b3c4d.js").unlink()
    async with start_api() as api:
        response = await get(api, "/ui/assets/main-1a2b3c4d.js", Accept_Encoding=accepted)

    assert response.headers.get("content-encoding") == coding
    assert response.text == SCRIPT


async def test_the_description_of_the_api_is_a_page_of_the_build(start_api: StartApi, build: Path) -> None:
    async with start_api() as api:
        missing = await get(api, "/docs")
        (build / "docs.html").write_text("<!doctype html><title>the API</title>")
        (build / "index.html").write_text(INDEX + "<!-- the next build -->")
        page = await get(api, "/docs")

    assert "/openapi.json" in missing.text
    assert page.text == "<!doctype html><title>the API</title>"
    assert_strict(page)


@pytest.mark.parametrize(
    "path",
    [
        "/ui/assets/main-99999999.js",
        "/ui/assets/",
        "/ui/assets/../../secret.txt",
        "/ui/assets/..%2f..%2fsecret.txt",
        "/ui/assets/%2e%2e/%2e%2e/secret.txt",
        "/ui/assets/..%5c..%5csecret.txt",
        "/ui/assets/linked.txt",
        "/ui/assets//etc/passwd",
        "/ui/assets/%00",
    ],
)
async def test_what_is_no_file_of_the_build_is_not_found(start_api: StartApi, build: Path, path: str) -> None:
    (build / "assets" / "linked.txt").symlink_to(build.parent / "secret.txt")
    async with start_api() as api:
        response = await raw_get(api, path)

    assert response.status_code == 404
    assert "nobody's business" not in response.text
    assert response.json()["error"]["code"] == "NOT_FOUND"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize(
    "path", ["/ui/../secret.txt", "/ui/..%2fsecret.txt", "/ui/%2e%2e/secret.txt", "/ui//etc/passwd"]
)
async def test_nothing_outside_the_build_is_served(start_api: StartApi, path: str) -> None:
    async with start_api() as api:
        response = await raw_get(api, path)

    assert response.text == INDEX


async def raw_get(api: Api, path: str) -> httpx.Response:
    """A request with the path as it is written: clients would tidy it up before."""
    return await api.http.get("/", extensions={"target": path.encode()})


async def test_without_a_build_the_page_says_how_to_get_it(
    start_api: StartApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "BUILD", tmp_path / "nothing")
    async with start_api() as api:
        page, deep = await get(api, "/"), await get(api, "/ui/sessions")
        asset = await get(api, "/ui/assets/x.js")
        (tmp_path / "nothing").mkdir()
        (tmp_path / "nothing" / "index.html").write_text(INDEX)
        built = await get(api, "/")

    assert (page.status_code, deep.status_code, asset.status_code) == (200, 200, 404)
    assert "<code>make ui</code>" in page.text
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert_strict(page)
    assert built.text == INDEX, "a build that is made later is noticed"


async def test_a_build_that_is_taken_away_is_noticed(start_api: StartApi, build: Path) -> None:
    async with start_api() as api:
        await get(api, "/")
        (build / "assets" / "main-1a2b3c4d.css").unlink()
        asset = await get(api, "/ui/assets/main-1a2b3c4d.css")
        (build / "index.html").unlink()
        page = await get(api, "/")

    assert asset.status_code == 404
    assert "<code>make ui</code>" in page.text


@pytest.mark.usefixtures("build")
async def test_head_answers_as_get_does_without_the_body(start_api: StartApi) -> None:
    async with start_api() as api:
        for path in ("/", "/ui/sessions", "/ui/assets/main-1a2b3c4d.css"):
            got, head = await get(api, path), await api.http.head(path, headers={"Accept-Encoding": "identity"})

            assert (head.status_code, head.content) == (200, b"")
            for name in ("content-length", "content-type", "etag", "cache-control", "content-security-policy"):
                assert head.headers[name] == got.headers[name]


@pytest.mark.usefixtures("build")
async def test_other_methods_are_refused_and_other_origins_are_not_let_in(start_api: StartApi) -> None:
    async with start_api() as api:
        refused = [await api.http.request(method, "/ui/sessions") for method in ("POST", "DELETE", "OPTIONS")]
        page = await get(api, "/", Origin="https://elsewhere.example")

    assert [response.status_code for response in refused] == [405, 405, 405]
    assert "access-control-allow-origin" not in page.headers


@pytest.mark.usefixtures("build")
async def test_no_route_of_the_api_is_hidden(start_api: StartApi) -> None:
    async with start_api() as api:
        for path in ("/sessions", "/traces", "/events", "/messages", "/health", "/v1/sessions", "/openapi.json"):
            assert (await get(api, path)).text != INDEX


@pytest.mark.usefixtures("build")
async def test_the_page_opens_without_a_token_and_the_data_does_not(sqlite_url: str) -> None:
    async with locked_broker(sqlite_url) as locked:
        opened = [await get(locked.api, path) for path in ("/", "/ui/sessions", "/ui/assets/main-1a2b3c4d.js")]
        data = await get(locked.api, "/v1/sessions")

    assert [response.status_code for response in opened] == [200, 200, 200]
    assert data.status_code == 401
