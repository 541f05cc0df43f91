"""The settings: one class, and the only place that reads the environment.

Each field is one variable `ARK_BROKER_<FIELD>`. `docs/settings.md` is generated from this class.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from ark_broker.ark_environment import OldVariableInvalid, translate
from ark_broker.model.errors import ArkBrokerError
from ark_broker.model.event import KINDS, Kind

PREFIX: Final = "ARK_BROKER_"

#: Read by other programs of this project: the commands that speak to a broker, and the tests.
#: And those that Kubernetes sets beside a Service named `ark-broker`.
_NOT_SETTINGS: Final = re.compile(r"ARK_BROKER_(URL|TOKEN|CONFIG|TEST_\w+|SERVICE_HOST|SERVICE_PORT\w*|PORT_\d+_\w+)")

_SIZE_UNITS: Final = {
    "": 1,
    "B": 1,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
_AGE_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_HUNDRED_YEARS: Final = 100 * 365 * 86400.0

#: What a PostgreSQL URL may carry after its `?`. Anything else would fail only at the first connection.
_POSTGRES_PARAMETERS: Final = frozenset(
    {
        "host",
        "port",
        "ssl",
        "target_session_attrs",
        "passfile",
        "service",
        "servicefile",
        "krbsrvname",
        "gsslib",
    }
)


class SettingsError(ArkBrokerError):
    """A setting is invalid. The message is one line that names the variable."""


def parse_size(value: object) -> object:
    """Bytes of `64MiB`, `10 MB`, `4096`. What is no such text is left for the integer check to judge."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", value.strip())
    if match is None or match[2].upper() not in _SIZE_UNITS:
        raise PydanticCustomError("size", "Input should be a size such as 64MiB or a number of bytes")
    return int(match[1]) * _SIZE_UNITS[match[2].upper()]


def format_size(size: int) -> str:
    """`64MiB` for 67108864: the largest unit that divides it."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size and size % unit == 0:
            return f"{size // unit}{name}"
    return str(size)


def parse_ages(value: object) -> object:
    """Seconds by kind of `30d` (every kind) or `span=30d,chunk=12h`; a later entry wins."""
    if not isinstance(value, str):
        return value
    ages: dict[str, float] = {}
    for entry in filter(None, (part.strip() for part in value.split(","))):
        kind, separator, age = entry.rpartition("=")
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", age.strip())
        if match is None:
            raise PydanticCustomError("age", "Input should be ages such as 30d or span=30d,chunk=12h")
        seconds = float(match[1]) * _AGE_UNITS[match[2]]
        ages.update(dict.fromkeys((kind.strip(),) if separator else KINDS, seconds))
    return ages


Size = Annotated[int, BeforeValidator(parse_size)]
Seconds = float
Ages = Annotated[dict[Kind, Annotated[float, Field(gt=0, le=_HUNDRED_YEARS)]], NoDecode, BeforeValidator(parse_ages)]


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class Settings(BaseSettings):
    """Everything that can be set about a broker."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    # -- where it listens
    host: str = Field("127.0.0.1", description="Address to listen on; `0.0.0.0` for every interface.")
    port: int = Field(4318, ge=1, le=65535, description="Port to listen on. 4318 is the port of OTLP/HTTP.")
    grpc_port: int = Field(
        4317,
        ge=0,
        le=65535,
        description="Port of OTLP/gRPC, at the same address; 0 for none. It takes the extra `ark-broker[grpc]`: "
        "without it, or where the port is taken, the default is passed over and a port that was set stops the start.",
    )

    # -- where it stores
    data_dir: Path = Field(
        Path("ark-broker-data"), description="Directory of the SQLite database; not used with PostgreSQL."
    )
    database_url: str | None = Field(
        None,
        repr=False,
        description="`postgresql://user:password@host/database` or `sqlite:///path`. "
        "Without it the broker keeps a SQLite database in the data directory.",
    )
    database_pool_size: int = Field(
        10,
        ge=1,
        le=200,
        description="Connections that a worker reads through, beside the one it writes through.",
    )
    workers: int = Field(
        1, ge=1, le=64, description="Broker processes that share the port. More than one needs PostgreSQL."
    )
    sqlite_synchronous: Annotated[Literal["FULL", "NORMAL"], BeforeValidator(_upper)] = Field(
        "FULL",
        description="`FULL`: what was acknowledged survives a power cut. "
        "`NORMAL`: it survives a crash of the broker; a power cut may take the last commits. Faster.",
    )

    # -- what it says
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        "info", description="Least severe log lines to write. `debug` includes one line for each request."
    )
    log_format: Annotated[Literal["auto", "json", "console"], BeforeValidator(_lower)] = Field(
        "auto", description="`auto`: for people on a terminal, JSON elsewhere."
    )

    # -- what it takes in
    max_body_bytes: Size = Field(
        64 * 2**20, ge=2**10, le=2**30, description="Largest request body, also after decompression."
    )
    max_line_bytes: Size = Field(
        10 * 2**20, ge=2**10, le=2**28, description="Longest line of a stream of completion chunks."
    )
    max_events_per_request: int = Field(
        100_000, ge=1, le=10_000_000, description="Most spans, log records or events in one request."
    )
    queue_bytes: Size = Field(
        128 * 2**20,
        ge=2**10,
        le=2**36,
        description="Received and not yet committed, at most; beyond it requests get 503 with `Retry-After`.",
    )
    commit_max_events: int = Field(2000, ge=1, le=100_000, description="Most events in one commit.")
    ack_timeout_seconds: Seconds = Field(
        8, ge=0.05, le=300, description="A request whose events are not committed by then gets 503."
    )
    chunk_retry_seconds: Seconds = Field(
        60, ge=0, le=3600, description="How long an open stream of chunks waits for a database that is away."
    )

    a2a_token: str | None = Field(
        None,
        repr=False,
        max_length=1024,
        description="Token that A2A agents have to send with their push notifications "
        "(`POST /v1/a2a/notifications`): in `X-A2A-Notification-Token`, or as a bearer. Without it any is taken.",
    )

    # -- what it gives out
    ring_bytes: Size = Field(
        16 * 2**20, ge=2**12, le=2**34, description="Newest committed events kept in memory for live readers."
    )
    heartbeat_seconds: Seconds = Field(
        15, ge=0.05, le=300, description="Silence on a stream after which a comment keeps proxies awake."
    )
    stream_idle_seconds: Seconds = Field(
        300, ge=0.05, le=86400, description="Silence after which a reader of `GET /stream/{query}` is let go."
    )
    session_list_coalesce_ms: int = Field(
        250,
        ge=0,
        le=60_000,
        description="A session's changes within this time are one frame of `GET /v1/stream`.",
    )
    poll_seconds: Seconds = Field(
        5,
        ge=0.05,
        le=300,
        description="How often to look for other replicas' commits while its notifications are down.",
    )

    # -- who may do what
    auth: bool = Field(
        False,
        description="Whether requests need a token: `ark-broker token create` makes one. Without it whoever reaches "
        "the broker may read and remove everything. See docs/access.md.",
    )
    allow_open: bool = Field(
        False,
        description="Whether to listen on another address than this machine's own without authentication.",
    )
    admin_token: str | None = Field(
        None,
        repr=False,
        min_length=20,
        max_length=1024,
        description="A token of your own making that may do everything, to make the first others with.",
    )
    token_max_open: int = Field(
        1_000, ge=1, le=1_000_000, description="Requests and live streams that one token may have open at once."
    )
    oidc_issuer: str | None = Field(
        None, description="URL of an OpenID Connect issuer whose tokens are taken; `oidc_audience` goes with it."
    )
    oidc_audience: str | None = Field(None, description="Audience that its tokens have to be made for.")
    oidc_jwks_url: str | None = Field(None, description="Where its keys are; the issuer is asked otherwise.")
    oidc_claims: str | None = Field(
        None,
        description="What claims stand for, as JSON: `permissionsClaim`, `values`, `namespacesClaim`, "
        "`namespaceValues`, `namespacesAbsent`, `nameClaim`. See docs/access.md.",
    )
    kubernetes_tokens: str | None = Field(
        None,
        description="Permissions of service accounts of the cluster, each limited to its namespace, such as "
        "`ingest,read`; or JSON with `permissions` and `accounts`. See docs/access.md.",
    )
    kubernetes_audience: str | None = Field(
        None, description="Audience of their tokens; without it, those made for the API server are taken."
    )
    cors_origins: str = Field(
        "",
        description="Origins whose pages may read Ark's surface where authentication is on, separated by commas. "
        "Without authentication any may; those that are named may then also send to the broker's own routes.",
    )
    allowed_hosts: str = Field(
        "",
        description="Names that the broker goes by, besides `localhost`, names without a dot and addresses, separated "
        "by commas; the hosts of `cors_origins` are among them. Without authentication a broker on a loopback address "
        "answers to no other: behind a reverse proxy that keeps the `Host`, name its host here. See docs/access.md.",
    )
    redact: str = Field(
        "off",
        description="What is redacted before anything is stored: `off`, `bundled` (keys, tokens, card numbers), or the "
        "path of a file with rules. See docs/redaction.md.",
    )

    # -- where it hands things on
    upstreams: str | None = Field(
        None,
        repr=False,
        description="OTLP/HTTP receivers that get every span: URLs and presets such as "
        "`langfuse://public:secret@cloud.langfuse.com` or `phoenix://phoenix:6006`, separated by spaces, or a "
        "JSON list. See docs/delivery.md.",
    )
    webhooks: str | None = Field(
        None,
        repr=False,
        description="Rules that tell people: a JSON list of `{name, url, secret, when}`; more by `POST /v1/webhooks`. "
        "See docs/delivery.md.",
    )
    deliver_to: str = Field(
        "",
        description="Hosts that may be delivered to though they are private or without TLS: names, `*.suffix` and "
        "networks such as `10.0.0.0/8`, separated by commas. Upstreams named in the settings are always allowed.",
    )
    deliver_to_private: bool = Field(
        False, description="Whether webhooks may go to private addresses, and by http, without further ado."
    )
    public_url: str | None = Field(
        None, description="Where people reach the broker, for links in what it tells them: `https://ark.example`."
    )

    # -- for Ark's programs
    ark_compat: Annotated[Literal["a", "b", "c"], BeforeValidator(_lower)] = Field(
        "c",
        description="Where generations of Ark's own broker contradict each other, which one to be: `a` (0.1.67), `b`, "
        "or `c` (the newest). See docs/ark.md.",
    )
    allow_purge: bool | None = Field(
        None,
        description="Whether the routes that remove everything of a sort (`DELETE /messages`, `/events`, `/stream`, "
        "`/traces`, `/sessions`, `/conversations`) exist. Without it they do, as long as no authentication is "
        "configured.",
    )

    # -- what it does with time
    trace_quiet_seconds: Seconds = Field(
        60,
        ge=0.05,
        le=86400,
        description="Quiet time after which a trace that named no session becomes one itself.",
    )
    link_retention_seconds: Seconds = Field(
        604_800.0,
        gt=0,
        le=_HUNDRED_YEARS,
        description="A link (which session a trace, task, MCP session or tool call belongs to) that was not used for "
        "so long is forgotten. What it placed stays where it is.",
    )
    max_links: int = Field(
        2_000_000, ge=1, description="Most links kept; beyond that the longest unused ones are forgotten."
    )
    unassigned_retention_seconds: Seconds = Field(
        86_400.0,
        gt=0,
        le=_HUNDRED_YEARS,
        description="An event that named no session waits so long for a link that places it. It stays in the log.",
    )
    max_unassigned: int = Field(
        1_000_000, ge=1, description="Most events that wait for a link; beyond that the oldest ones wait no more."
    )
    prices: Path | None = Field(
        None,
        description='Price table of your own, as JSON: `{"models": {"my-model": {"input": 0.15, "output": 0.6, '
        '"cachedInput": 0.075}}, "bundled": true}`, in US dollars for a million tokens. It goes before the bundled '
        'one; with `"bundled": false` it is the only one.',
    )
    retention: Ages = Field(
        {},
        description="Age at which events are deleted: `30d`, or by kind `span=30d,chunk=7d` "
        f"(kinds: {', '.join(KINDS)}; units: s, m, h, d). What is not named is kept for ever.",
    )
    pack_after_seconds: Seconds = Field(
        300,
        ge=0.05,
        le=2_592_000,
        description="Rest after which a finished stream's chunks are packed into one row.",
    )
    shutdown_seconds: Seconds = Field(
        10,
        ge=0,
        le=600,
        description="Time that open requests have to finish when the broker is told to stop.",
    )

    @field_validator("port", mode="before")
    @classmethod
    def _port_is_no_service_link(cls, value: object) -> object:
        return cls.model_fields["port"].default if _is_service_link(value) else value

    @field_validator("database_url")
    @classmethod
    def _database_url_is_usable(cls, value: str | None) -> str | None:
        if value is not None:
            _sqlalchemy_url(value)
        return value

    @field_validator("workers")
    @classmethod
    def _workers_share_a_database(cls, value: int, info: ValidationInfo) -> int:
        if value > 1 and "database_url" in info.data and _is_sqlite(info.data["database_url"]):
            raise PydanticCustomError("workers", "More than one worker needs PostgreSQL: set ARK_BROKER_DATABASE_URL")
        return value

    @model_validator(mode="after")
    def _is_closed_or_meant_to_be_open(self) -> Settings:
        if self.is_exposed and not self.allow_open:
            raise PydanticCustomError(
                "exposed",
                "Whoever reaches {host} could read and remove everything: set ARK_BROKER_AUTH=true, or "
                "ARK_BROKER_ALLOW_OPEN=true if that is what you want",
                {"host": self.host},
            )
        if (self.oidc_issuer is None) != (self.oidc_audience is None):
            raise PydanticCustomError("oidc", "ARK_BROKER_OIDC_ISSUER and ARK_BROKER_OIDC_AUDIENCE go together")
        return self

    @property
    def purge_allowed(self) -> bool:
        """Whether everything of a sort may be removed at once."""
        return not self.auth if self.allow_purge is None else self.allow_purge

    @property
    def allowed_origins(self) -> frozenset[str] | None:
        """Origins whose pages may read Ark's surface; None for any."""
        named = frozenset(_listed(self.cors_origins))
        return named if self.auth or named else None

    @property
    def own_hosts(self) -> frozenset[str]:
        """Names that the broker goes by, as `allowed_hosts` has them."""
        return frozenset(_listed(self.allowed_hosts))

    @property
    def is_loopback(self) -> bool:
        """True where only this machine's own programs reach the broker."""
        return _is_loopback(self.host)

    @property
    def is_exposed(self) -> bool:
        """True where others than this machine's own programs reach the broker, and nobody asks who they are."""
        return not self.auth and not self.is_loopback

    @property
    def sqlalchemy_url(self) -> str:
        """The database as SQLAlchemy wants it, with the async driver. Holds the password: never print it."""
        return self._url.render_as_string(hide_password=False)

    @property
    def database_label(self) -> str:
        """The database as people may see it: without the password."""
        path = self.sqlite_path
        return (
            f"SQLite in {path}"
            if path is not None
            else self._url.set(drivername="postgresql").render_as_string(hide_password=True)
        )

    @property
    def sqlite_path(self) -> Path | None:
        """The file of the SQLite database; None with PostgreSQL."""
        url = self._url
        return Path(url.database or "") if url.get_backend_name() == "sqlite" else None

    @property
    def _url(self) -> URL:
        if self.database_url is None:
            path = (self.data_dir.expanduser() / "ark-broker.db").absolute()
            return URL.create("sqlite+aiosqlite", database=str(path))
        return _sqlalchemy_url(self.database_url)


def _sqlalchemy_url(text: str) -> URL:
    """`text` with the async driver in it. Raises PydanticCustomError where no database can be meant by it."""
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError):
        raise PydanticCustomError("database_url", "Input should be postgresql://… or sqlite:///path") from None
    match url.drivername:
        case "postgres" | "postgresql" | "postgresql+asyncpg":
            return _postgres_url(url)
        case "sqlite" | "sqlite+aiosqlite":
            if url.database in (None, "", ":memory:") or url.host:
                raise PydanticCustomError("database_url", "SQLite needs a file: sqlite:///path")
            return url.set(drivername="sqlite+aiosqlite")
    raise PydanticCustomError(
        "database_url",
        "Input should be postgresql://… or sqlite:///path, not {scheme}://",
        {"scheme": url.drivername},
    )


def _listed(text: str) -> list[str]:
    """What is separated by commas."""
    return [part for part in (part.strip() for part in text.split(",")) if part]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_sqlite(text: str | None) -> bool:
    return text is None or _sqlalchemy_url(text).get_backend_name() == "sqlite"


def _postgres_url(url: URL) -> URL:
    query = dict(url.query)
    if "sslmode" in query:
        # libpq's name, which hosted databases put into their URLs; asyncpg's has the same values.
        query["ssl"] = query.pop("sslmode")
    unknown = sorted(query.keys() - _POSTGRES_PARAMETERS)
    if unknown:
        raise PydanticCustomError(
            "database_url", "The parameter {name} is not supported in a PostgreSQL URL", {"name": unknown[0]}
        )
    return url.set(drivername="postgresql+asyncpg", query=query)


def load_settings(overrides: Mapping[str, object] | None = None) -> Settings:
    """Settings from the environment; `overrides` (field → value, None for "not given") come first.

    Raises SettingsError with one line that names the variable, or the option that overrode it.
    """
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    try:
        old = translate(os.environ, lambda field: field in given or _is_set(field)).values
        return Settings(**old | given)  # type: ignore[arg-type]
    except OldVariableInvalid as error:
        raise SettingsError(str(error)) from None
    except ValidationError as error:
        raise SettingsError("; ".join(_complaints(error, given))) from None


def old_variable_warnings(overrides: Mapping[str, object] | None = None) -> list[str]:
    """A line for each variable of Ark's own broker that is set: what it is understood as, or what to do instead."""
    given = {name for name, value in (overrides or {}).items() if value is not None}
    return translate(os.environ, lambda field: field in given or _is_set(field)).warnings


def _is_set(field: str) -> bool:
    value = os.environ.get(variable(field), "")
    return bool(value) and not _is_service_link(value)


def _is_service_link(value: object) -> bool:
    """True for what Kubernetes puts into `ARK_BROKER_PORT` beside a Service named `ark-broker`: `tcp://10.0.0.7:80`."""
    return isinstance(value, str) and value.startswith("tcp://")


#: The setting to name where it is several that do not go together.
_BLAMED: Final = {"exposed": "host", "oidc": "oidc_issuer"}


def _complaints(error: ValidationError, given: Mapping[str, object]) -> list[str]:
    complaints = []
    for problem in error.errors(include_url=False, include_context=False, include_input=True):
        field = str(problem["loc"][0]) if problem["loc"] else _BLAMED[problem["type"]]
        name = f"--{field.replace('_', '-')}" if field in given else variable(field)
        value: Any = given.get(field, os.environ.get(variable(field), problem["input"]))
        info = Settings.model_fields.get(field)
        shown = "" if info is not None and not info.repr else f" (got {_shorten(value)})"
        complaints.append(f"{name}: {_one_line(problem['msg'])}{shown}")
    return complaints


def _shorten(value: object) -> str:
    text = repr(value if isinstance(value, int) else str(value))
    return text if len(text) <= 80 else f"{text[:76]}…'"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def variable(field: str) -> str:
    """Name of the environment variable of a field."""
    return PREFIX + field.upper()


def unknown_variables(environment: Mapping[str, str] | None = None) -> list[str]:
    """Variables that look like settings and are none: a slip of the pen that would otherwise go unnoticed."""
    known = {variable(field) for field in Settings.model_fields}
    names = (name.upper() for name in (os.environ if environment is None else environment))
    return sorted(
        name
        for name in names
        if name.startswith(PREFIX) and name not in known and _NOT_SETTINGS.fullmatch(name) is None
    )


def choices(field: str) -> tuple[str, ...]:
    """The words a field takes; empty where it takes anything else."""
    annotation = Settings.model_fields[field].annotation
    return tuple(word for word in get_args(annotation) if isinstance(word, str))


def takes_size(field: str) -> bool:
    """Whether a field is a size, and may be written as `64MiB`."""
    return any(
        isinstance(part, BeforeValidator) and part.func is parse_size for part in Settings.model_fields[field].metadata
    )
