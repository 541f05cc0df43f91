"""The dashboard: a built single-page application, served at `/` and below `/ui/`; and the API's description at `/docs`.

It is static, and shows nothing of anybody's: its pages ask `/v1` for what they show, with the login of who looks. Their
paths are all below `/ui/`, so that none of them hides a route of the API. The policy of every answer forbids inline
script and style, and any other host (CSP level 3).
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ark_broker.api.errors import respond_to
from ark_broker.model.errors import NotFound

#: Where `make ui` puts the build: the pages, `assets/*` with a hash in their names, and what else the pages link.
BUILD: Final = Path(__file__).parents[1] / "_ui"
_INDEX: Final = "index.html"
_DOCS: Final = "docs.html"
_ASSETS: Final = "assets/"

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_STRICT: Final[Mapping[str, str]] = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"

_HTML: Final = "text/html; charset=utf-8"
_OTHER: Final = "application/octet-stream"
#: Not the system's table, which differs from machine to machine.
_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": _HTML,
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
#: Content codings that a build may have files in, the smallest first. What is there in gzip needs no plain file beside.
_CODINGS: Final[tuple[tuple[str, str], ...]] = (("br", ".br"), ("gzip", ".gz"))

_NO_BUILD: Final = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<meta http-equiv="refresh" content="10">
<title>Ark Broker</title>
</head>
<body>
<main>
<h1>Ark Broker</h1>
<p>The broker runs. Its dashboard has not been built, and appears here once it is.</p>
<p>In a checkout <code>make run</code> builds it beside the broker where Node.js is there, in about a minute;
<code>make ui</code> does in any case.</p>
<p>All that it would show is in the API: <a href="/v1/sessions">/v1/sessions</a>, described by
<a href="/openapi.json">/openapi.json</a>.</p>
</main>
</body>
</html>
"""


def routes(directory: Path | None = None) -> list[Route]:
    """The routes of the dashboard that is built in `directory`, or will be; `BUILD` where none is named."""
    found = BUILD if directory is None else directory
    index = Dashboard(found, _INDEX)
    pages = {"/": index, "/ui": index, "/ui/{name:path}": index, "/docs": Dashboard(found, _DOCS)}
    return [Route(path, page, methods=["GET"], include_in_schema=False) for path, page in pages.items()]


class Dashboard:
    """ASGI endpoint: the build's files, and its `page` for every other path. A newer build is noticed by itself."""

    def __init__(self, directory: Path, page: str) -> None:
        self._directory = directory
        self._page = page
        self._build: _Build | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await run_in_threadpool(self._respond, scope)
        await response(scope, receive, send)

    def _respond(self, scope: Scope) -> Response:
        headers = Headers(scope=scope)
        name = scope.get("path_params", {}).get("name", "")
        build = self._current()
        if build is not None and build.has(name) and name not in build.pages:
            try:
                return _file(build, name, headers)
            except FileNotFoundError:  # another build is taking its place
                return _missing(scope)
        if name.startswith(_ASSETS):
            return _missing(scope)
        return _page(_NO_BUILD if build is None else build.pages.get(self._page, _NO_BUILD), headers)

    def _current(self) -> _Build | None:
        """The build as it is now; None where there is none."""
        try:
            state = _state(self._directory)
            if self._build is None or self._build.state != state:
                self._build = _load(self._directory, state)
        except FileNotFoundError:
            self._build = None
        return self._build


_State = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Build:
    #: What changes when another build takes the directory's place.
    state: _State
    #: HTML by its name in the directory.
    pages: Mapping[str, bytes]
    #: Path below `/ui/` → file. What is not in here is not served, whatever the path says.
    files: Mapping[str, Path]

    def has(self, name: str) -> bool:
        """True for a file that there is, in whatever coding."""
        return name in self.files or name + ".gz" in self.files


def _state(directory: Path) -> _State:
    status = (directory / _INDEX).stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _load(directory: Path, state: _State) -> _Build:
    found = {}
    for parent, _, names in os.walk(directory, followlinks=False):
        for path in (Path(parent, name) for name in names):
            if path.is_file() and not path.is_symlink():
                found[path.relative_to(directory).as_posix()] = path
    pages = {_INDEX: (directory / _INDEX).read_bytes()}
    if _DOCS in found:
        pages[_DOCS] = found[_DOCS].read_bytes()
    return _Build(state, pages, found)


def _page(content: bytes, request: Headers) -> Response:
    return _content(content, _HTML, {"Cache-Control": _ASK_AGAIN}, request)


def _file(build: _Build, name: str, request: Headers) -> Response:
    """The file, in the smallest coding that the build has and the request accepts. Raises FileNotFoundError."""
    headers = {"Cache-Control": _FOR_EVER if name.startswith(_ASSETS) else _ASK_AGAIN, "Vary": "Accept-Encoding"}
    media = _TYPES.get(Path(name).suffix, _OTHER)
    accepted = _accepted(request.getlist("accept-encoding"))
    for coding, suffix in _CODINGS:
        if coding in accepted and name + suffix in build.files:
            content = build.files[name + suffix].read_bytes()
            return _content(content, media, {**headers, "Content-Encoding": coding}, request)
    plain = build.files.get(name)
    if plain is None:
        return _content(gzip.decompress(build.files[name + ".gz"].read_bytes()), media, headers, request)
    return _content(plain.read_bytes(), media, headers, request)


def _content(content: bytes, media: str, headers: Mapping[str, str], request: Headers) -> Response:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    every = {**_STRICT, **headers, "ETag": tag}
    if _has_it(request.getlist("if-none-match"), tag):
        return Response(status_code=304, headers=every)
    return Response(content, headers={**every, "Content-Type": media})


def _has_it(conditions: Sequence[str], tag: str) -> bool:
    """True where `If-None-Match` says that the client has it (RFC 9110, section 13.1.2: by weak comparison)."""
    known = {part.strip().removeprefix("W/") for condition in conditions for part in condition.split(",")}
    return "*" in known or tag in known


def _accepted(fields: Sequence[str]) -> set[str]:
    """The content codings that `Accept-Encoding` names, but for those with a weight of 0 (RFC 9110, section 12.5.3)."""
    accepted = set()
    for part in ",".join(fields).split(","):
        coding, _, weight = part.partition(";")
        if weight.replace(" ", "").lower() not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
            accepted.add(coding.strip().lower())
    return accepted


def _missing(scope: Scope) -> Response:
    response = respond_to(Request(scope), NotFound("the dashboard has no such file"))
    response.headers.update({**_STRICT, "Cache-Control": "no-store"})
    return response
