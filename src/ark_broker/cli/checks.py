"""The checks of `ark-broker doctor`, in order; where one makes the next ones pointless, they are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ark_broker.cli.connection import Connection, client_of
from ark_broker.cli.exporters import exporter_problems
from ark_broker.cli.local import local_schema
from ark_broker.cli.probe import Probe, ProbeError
from ark_broker.cli.render.amounts import duration
from ark_broker.client import BrokerError, Client, Refused, Unreachable

State = Literal["ok", "failed", "warning", "skipped"]
#: Seconds that a clock may be off before views get confusing.
_CLOCK_SECONDS = 2.0
#: Seconds of one request.
_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, what came of it, and what to do."""

    name: str
    state: State
    told: str
    todo: str = ""


def checks(connection: Connection, environment: Mapping[str, str]) -> Iterator[Check]:
    """Look at everything. `environment` is where an exporter would find its settings."""
    with client_of(connection, timeout=_TIMEOUT, retry_seconds=0.0) as client:
        reachable = _reachable(client)
        yield reachable
        if reachable.state != "ok":
            yield from local_schema_check()
            return
        yield _ready(client)
        token, permissions = _token(client, connection)
        yield token
        yield from _end_to_end(client, permissions)
        authentication = bool(connection.token) and token.state == "ok" and "authentication is off" not in token.told
        yield _exporters(environment, client.url, authentication)


def _reachable(client: Client) -> Check:
    try:
        client.health()
        version = client.openapi()["info"]["version"]
    except Unreachable as error:
        return Check(
            "reachable",
            "failed",
            str(error),
            "start it (`ark-broker serve`, `make run`), or name another with --url, ARK_BROKER_URL or "
            "`ark-broker config set url`",
        )
    except (BrokerError, KeyError, TypeError) as error:
        return Check("reachable", "failed", f"what answers at {client.url} is no broker: {error}", "look at the URL")
    return Check("reachable", "ok", f"{client.url}, version {version}")


def local_schema_check() -> Iterator[Check]:
    """Where the broker is not there: whether it is the schema of this environment's database that keeps it away."""
    problem = local_schema()
    if problem is not None:
        yield Check("schema", "failed", problem, "ark-broker migrate")


def _ready(client: Client) -> Check:
    try:
        client.readyz()
    except Refused as error:
        todo = "look at its database and its log; `ark-broker status` shows more"
        return Check("ready", "failed", error.message, todo)
    except BrokerError as error:
        return Check("ready", "failed", str(error), "look at its log")
    return Check("ready", "ok", "its database answers, and its schema is current (a broker checks that when it starts)")


def _token(client: Client, connection: Connection) -> tuple[Check, tuple[str, ...]]:
    try:
        me = client.me()
    except Refused as error:
        todo = "set ARK_BROKER_TOKEN, or `ark-broker config set token`; `ark-broker token create` makes one"
        return Check("token", "failed", error.message, todo), ()
    permissions = tuple(me.get("permissions", ()))
    if not me.get("authentication", True):
        told = "authentication is off: everybody may do everything"
        return Check("token", "ok", f"{told}; the token is not needed" if connection.token else told), permissions
    namespaces = me.get("namespaces")
    where = "all namespaces" if namespaces is None else f"namespaces {', '.join(namespaces)}"
    named = f"{me.get('name', 'unknown')}: {', '.join(permissions)}; {where}"
    missing = [each for each in ("ingest", "read") if each not in permissions and "admin" not in permissions]
    if missing:
        todo = f"for the check from end to end, use a token with {' and '.join(missing)} too"
        return Check("token", "warning", named, todo), permissions
    return Check("token", "ok", named), permissions


def _end_to_end(client: Client, permissions: tuple[str, ...]) -> Iterator[Check]:
    if "admin" not in permissions and not {"ingest", "read"} <= set(permissions):
        yield Check("span", "skipped", "the token may not both send and read")
        return
    probe = Probe(client)
    try:
        yield from _guarded("span", lambda: _seen(probe))
        if probe.clock_offset is not None:
            yield _clock(probe.clock_offset, probe.clock_doubt)
    finally:
        told = probe.clean_up()
    yield Check("cleaned up", "ok" if told is None else "warning", told or "its session is deleted again")


def _seen(probe: Probe) -> Check:
    seconds = probe.run()
    return Check("span", "ok", f"sent by OTLP, seen on a live stream after {duration(seconds * 1_000)}")


def _guarded(name: str, check: Callable[[], Check]) -> Iterator[Check]:
    try:
        yield check()
    except ProbeError as error:
        todo = "look at the broker's log, and at proxies on the way: they must not buffer text/event-stream"
        yield Check(name, "failed", str(error), todo)
    except BrokerError as error:
        yield Check(name, "failed", str(error), "look at the broker's log")


def _clock(offset: float, doubt: float) -> Check:
    """`offset` and `doubt` are seconds; the broker's clock minus ours."""
    way = "ahead of" if offset > 0 else "behind"
    if abs(offset) <= max(_CLOCK_SECONDS, doubt):
        return Check("clock", "ok", f"within {duration(max(abs(offset), doubt) * 1_000)} of this machine's")
    told = f"the broker's is {duration(abs(offset) * 1_000)} {way} this machine's"
    return Check("clock", "failed", told, "set both by NTP: views are in the order of the producers' clocks")


def _exporters(environment: Mapping[str, str], url: str, authentication: bool) -> Check:
    problems = exporter_problems(environment, url, authentication=authentication)
    if not problems:
        named = any(name.startswith("OTEL_EXPORTER_OTLP") for name in environment)
        told = "OTEL_… of this environment reach this broker" if named else "no OTEL_EXPORTER_OTLP_… is set here"
        return Check("exporters", "ok", told)
    told = "; ".join(problem.told for problem in problems)
    return Check("exporters", "failed", told, "; ".join(dict.fromkeys(problem.todo for problem in problems)))
