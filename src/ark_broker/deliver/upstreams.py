"""Upstreams: OTLP/HTTP receivers that spans are sent on to, and how the setting names them.

The setting is a JSON list of objects (the fields of `Upstream` in camelCase; `url` may be any of the forms below), or
URLs with commas or white space between them:

    https://host/v1/traces, http://host:4318             any receiver; `/v1/traces` where the URL has no path
    langfuse://PUBLIC:SECRET@cloud.langfuse.com          https
    langsmith://APIKEY@api.smith.langchain.com?project=  https
    phoenix://[APIKEY@]host:6006?project=                http
    jaeger://host, tempo://host, collector://host        http, port 4318

Parameters of a URL: `name`, `namespace`, `agent` and `type` (each may come several times), `session`, `mark`, `gzip`,
`redact=a,b`, `from=start`; with a preset also `tls`, and `project` where it has projects. The ports above are those
without TLS.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import httpx
import msgspec

from ark_broker.model import Event

_TRACES: Final = "/v1/traces"
_SEPARATOR: Final = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)|\s+")
_NAME: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
#: Headers that say how the body is written, which is not for the configuration to say.
_OWN_HEADERS: Final = frozenset({"content-type", "content-encoding", "content-length", "transfer-encoding"})
_TRUTH: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
#: Parameter → field of `Upstream`.
_SETS: Final = {"namespace": "namespaces", "agent": "agents", "type": "types"}
_FLAGS: Final = {"session": "sessionAttribute", "mark": "mark", "gzip": "gzip"}

Positive = Annotated[int, msgspec.Meta(ge=1)]


class UpstreamsInvalid(ValueError):  # noqa: N818 - reads as what it says
    """The setting cannot be used. One line that names the entry, and shows no secret."""


class Upstream(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One receiver. Its `headers` (and what stands in its `url` behind the host) may be secret: never print them."""

    #: Unique among the upstreams; fit for logs and metrics.
    name: str
    #: Whole: what the requests go to.
    url: str
    headers: dict[str, str] = {}
    #: Only spans of these; empty for all. A span that names no namespace or agent belongs to none.
    namespaces: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    #: Whether to add `session.id` to spans that have none, where the broker knows their session.
    session_attribute: bool = False
    #: Attributes to leave out, of spans, their events and links, resources and scopes; `a.*` for all that begin so.
    redact: tuple[str, ...] = ()
    #: Whether resources say that they came through this broker (see `otlp_batch`); it edits the data.
    mark: bool = False
    max_batch_spans: Positive = 512
    #: Of one request, before compression.
    max_batch_bytes: Positive = 4 * 2**20
    #: For one request, from its first byte to the last of the answer.
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=600)] = 30.0
    gzip: bool = True
    #: Where a new upstream begins: with the oldest span of the log, or with what comes.
    from_: Literal["now", "start"] = msgspec.field(default="now", name="from")

    @property
    def label(self) -> str:
        """What logs and metrics call it."""
        return self.name

    @property
    def origin(self) -> str:
        """Where it is, without path, query and credentials: `https://cloud.langfuse.com`."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def takes(self, event: Event) -> bool:
        """True for a span that the filters let through."""
        return (
            event.kind == "span"
            and (not self.namespaces or event.namespace in self.namespaces)
            and (not self.agents or event.agent in self.agents)
            and (not self.types or event.type in self.types)
        )

    def __repr__(self) -> str:
        return f"Upstream({self.name!r}, {self.origin!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # Tracebacks with local variables in them go by this one.
        return [("name", self.name), ("origin", self.origin)]


@dataclass(frozen=True, slots=True)
class _Preset:
    """How one product differs from any other receiver."""

    tls: bool = False
    port: int | None = None
    path: str = _TRACES
    #: Headers for user and password; raises UpstreamsInvalid where it needs others.
    credentials: Callable[[str, str], Mapping[str, str]] | None = None
    project_header: str | None = None


def _basic(user: str, password: str) -> dict[str, str]:
    if not user and not password:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def _langfuse(public: str, secret: str) -> dict[str, str]:
    if not public or not secret:
        raise UpstreamsInvalid("needs its keys before the host: langfuse://PUBLIC:SECRET@host")
    # Version 4 has spans visible at once; without it they take minutes.
    return {**_basic(public, secret), "x-langfuse-ingestion-version": "4"}


def _langsmith(key: str, more: str) -> dict[str, str]:
    if not key or more:
        raise UpstreamsInvalid("needs its API key, and nothing else, before the host: langsmith://APIKEY@host")
    return {"x-api-key": key}


def _phoenix(key: str, more: str) -> dict[str, str]:
    if more:
        raise UpstreamsInvalid("takes an API key, and nothing else, before the host: phoenix://APIKEY@host")
    return {"Authorization": f"Bearer {key}"} if key else {}


_PLAIN: Final = _Preset(port=4318)
_PRESETS: Final[Mapping[str, _Preset]] = {
    "langfuse": _Preset(tls=True, path="/api/public/otel/v1/traces", credentials=_langfuse),
    "langsmith": _Preset(tls=True, path="/otel/v1/traces", credentials=_langsmith, project_header="Langsmith-Project"),
    "phoenix": _Preset(port=6006, credentials=_phoenix, project_header="x-project-name"),
    "jaeger": _PLAIN,
    "tempo": _PLAIN,
    "collector": _PLAIN,
}
_SCHEMES: Final = (*_PRESETS, "http", "https")


def parse_upstreams(text: str) -> tuple[Upstream, ...]:
    """The upstreams that the setting names. Raises UpstreamsInvalid with one line that shows no secret."""
    text = text.strip()
    entries: Sequence[str | dict[str, Any]] = (
        _json_entries(text)
        if text.startswith(("[", "{"))
        else [e for p in _SEPARATOR.split(text) if (e := p.strip(","))]
    )
    found: dict[str, Upstream] = {}
    for number, entry in enumerate(entries, 1):
        try:
            upstream = _from_json(entry) if isinstance(entry, dict) else _from_url(entry)
            _check(upstream, found)
        except UpstreamsInvalid as error:
            raise UpstreamsInvalid(f"{_called(number, entry)}: {error}") from None
        found[upstream.name] = upstream
    return tuple(found.values())


def _json_entries(text: str) -> list[dict[str, Any]]:
    try:
        return msgspec.json.decode(text, type=list[dict[str, Any]])
    except (msgspec.DecodeError, RecursionError) as error:
        raise UpstreamsInvalid(f"must be a JSON list of objects: {error}") from None


def _called(number: int, entry: str | dict[str, Any]) -> str:
    """The entry in words. Not its host: where a part is missing, what looks like a host may be a key."""
    url = entry.get("url") if isinstance(entry, dict) else entry
    scheme = str(url).partition("://")[0].lower()
    return f"upstream {number} ({scheme}://…)" if scheme in _SCHEMES else f"upstream {number}"


def _from_json(entry: dict[str, Any]) -> Upstream:
    url = entry.get("url")
    if not isinstance(url, str):
        raise UpstreamsInvalid("needs a url")
    base = msgspec.to_builtins(_from_url(url, keep_query=True))
    given = {key: value for key, value in entry.items() if key != "url"}
    if isinstance(headers := given.get("headers"), dict):
        # A header of the entry goes before the preset's, however it is spelled.
        own = {str(name).lower() for name in headers}
        given["headers"] = {k: v for k, v in base["headers"].items() if k.lower() not in own} | headers
    try:
        return msgspec.convert(base | given, Upstream)
    except msgspec.ValidationError as error:
        # It may name a field of theirs, with whatever is in that name.
        raise UpstreamsInvalid(ascii(str(error))[1:-1]) from None


def _from_url(text: str, *, keep_query: bool = False) -> Upstream:
    """The upstream of a URL; with `keep_query`, a query of a plain one is part of the address."""
    parts, port = _split(text)
    preset = _PRESETS.get(parts.scheme)
    if parts.scheme not in _SCHEMES:
        raise UpstreamsInvalid(f"must begin with one of {', '.join(_SCHEMES)}, and ://")
    kept = parts.query if keep_query and preset is None else ""
    given = _Parameters("" if kept else parts.query)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    headers = dict((preset.credentials if preset and preset.credentials else _basic)(user, password))
    scheme, path = parts.scheme, _TRACES if parts.path in ("", "/") else parts.path
    if preset is not None:
        scheme = "https" if given.flag("tls", preset.tls) else "http"
        path = _joined(parts.path, preset.path)
        port = port or (preset.port if scheme == "http" else None)
        if preset.project_header and (project := given.one("project")):
            headers[preset.project_header] = project
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    address = f"{scheme}://{host}" + (f":{port}" if port else "") + path + (f"?{kept}" if kept else "")
    fields: dict[str, Any] = {field: given.all(key) for key, field in _SETS.items()}
    fields |= {field: given.flag(key, default=key == "gzip") for key, field in _FLAGS.items()}
    fields["redact"] = [name.strip() for text in given.all("redact") for name in text.split(",") if name.strip()]
    fields["from"] = given.one("from") or "now"
    if fields["from"] not in ("now", "start"):
        raise UpstreamsInvalid("the parameter from must be now or start")
    name = given.one("name") or f"{parts.scheme if preset else 'otlp'}-{parts.hostname}"
    given.check_all_known()
    return msgspec.convert({"name": name, "url": address, "headers": headers, **fields}, Upstream)


def _split(text: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise UpstreamsInvalid("is not a URL") from None
    if "://" not in text or not parts.hostname:
        raise UpstreamsInvalid("is not a URL with a host, such as http://jaeger:4318")
    if parts.fragment or "@" in parts.path + parts.query:
        # A password with such a character would be taken for the host.
        raise UpstreamsInvalid(
            "has a # in it, or an @ behind the host; in keys and passwords write /?#@ as %2F %3F %23 %40"
        )
    return parts, port


def _joined(given: str, own: str) -> str:
    """`own` under the path `given`, which may have the beginning of `own`, or all of it, already."""
    have, want = ([part for part in path.split("/") if part] for path in (given, own))
    shared = next((n for n in range(len(want), 0, -1) if have[-n:] == want[:n]), 0)
    return "/" + "/".join(have + want[shared:])


class _Parameters:
    """The parameters of a URL, each asked for by whoever knows it."""

    def __init__(self, query: str) -> None:
        try:
            self._pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
        except ValueError:
            raise UpstreamsInvalid("has parameters that are not written name=value") from None
        self._known: set[str] = set()

    def all(self, name: str) -> list[str]:
        """Its values, without those that are empty."""
        self._known.add(name)
        return [value for key, value in self._pairs if key == name and value]

    def one(self, name: str) -> str | None:
        """Its value. Raises UpstreamsInvalid where there are several."""
        values = self.all(name)
        if len(values) > 1:
            raise UpstreamsInvalid(f"the parameter {name} comes more than once")
        return values[0] if values else None

    def flag(self, name: str, default: bool) -> bool:
        """Its value as true or false. Raises UpstreamsInvalid where it is neither."""
        value = self.one(name)
        if value is None:
            return default
        if value.lower() not in _TRUTH:
            raise UpstreamsInvalid(f"the parameter {name} must be true or false")
        return _TRUTH[value.lower()]

    def check_all_known(self) -> None:
        """Raise UpstreamsInvalid for a parameter that nobody asked for."""
        unknown = sorted({key for key, _ in self._pairs} - self._known)
        if unknown:
            raise UpstreamsInvalid(
                f"the parameter {unknown[0][:40]!r} means nothing here (a query of the receiver's own takes JSON)"
            )


def _check(upstream: Upstream, others: Mapping[str, Upstream]) -> None:
    try:
        httpx.URL(upstream.url)
    except httpx.InvalidURL:
        raise UpstreamsInvalid("is not a URL that requests can go to") from None
    if upstream.name in others:
        raise UpstreamsInvalid(f"another upstream is named {upstream.name!r} too: give one a name of its own")
    if not _NAME.fullmatch(upstream.name):
        raise UpstreamsInvalid("the name must be 1 to 128 letters, digits, or any of . _ : -")
    for name, value in upstream.headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise UpstreamsInvalid("a header has a name that no header can have")
        if not _HEADER_VALUE.fullmatch(value):
            raise UpstreamsInvalid(f"the header {name} must be printable ASCII, with no space at its ends")
        if name.lower() in _OWN_HEADERS:
            raise UpstreamsInvalid(f"the header {name} cannot be set: it says how the broker writes the request")
