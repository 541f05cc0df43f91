"""`ark-broker status`: how the broker is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from ark_broker.cli.connection import Url, connect
from ark_broker.cli.failing import Exit, one_line_failures
from ark_broker.cli.output import STYLES, Json, coloured, on_terminal, write_json, write_line
from ark_broker.cli.render.label import Mood
from ark_broker.cli.render.values import plain

if TYPE_CHECKING:
    from ark_broker.client import Client

#: Open questions that are counted.
_MOST_QUESTIONS = 1_000
_SECONDS = 1.0
_SQLITE = "SQLite"


def status(url: Url = None, as_json: Json = False) -> None:
    """Show how the broker is: version, readiness, database, head of the log, rates, what waits, what lags.

    What the token may not read is left out. The rates are measured over one second.

        ark-broker status

        ark-broker status --json | jq .head

    Exit codes: 0 ready · 1 not ready, or failed · 2 wrong option · 4 not permitted · 5 unreachable.
    """
    with one_line_failures(), connect(url) as client:
        told = _gather(client)
        if as_json:
            write_json(told)
        else:
            for name, text, mood in _lines(told):
                write_line(f"{name:<12}{coloured(text, STYLES[mood]) if on_terminal() else text}")
        if not told["ready"]:
            raise typer.Exit(int(Exit.FAILED))


def _gather(client: Client) -> dict[str, Any]:
    """What is known, by what the token may see."""
    from ark_broker.client import Refused

    told: dict[str, Any] = {"url": client.url, "version": client.openapi().get("info", {}).get("version")}
    try:
        client.readyz()
        told["ready"] = True
    except Refused as error:
        told |= {"ready": False, "notReady": error.message}
    for name, look in (("head", client.head), ("waitingQuestions", lambda: _waiting(client))):
        told |= _allowed(name, look)
    told |= _allowed("deliveries", lambda: client.get("deliveries")["items"])
    measured = _allowed("metrics", lambda: _rates(client))
    told |= measured.get("metrics", {})
    if not told["ready"] and told.get("database") == _SQLITE:
        # On PostgreSQL the listening ends too while the database is away.
        del told["database"]
    return told


def _allowed(name: str, look: Any) -> dict[str, Any]:
    """What `look` finds; nothing where this token may not, or the broker cannot just now."""
    from ark_broker.client import Refused

    try:
        return {name: look()}
    except Refused as error:
        if error.status in (401, 403, 404) or error.may_pass_later:
            return {}
        raise


def _waiting(client: Client) -> int:
    return sum(1 for _ in client.questions(state="open", limit=_MOST_QUESTIONS))


def _rates(client: Client) -> dict[str, Any]:
    """From `/metrics`, of the process that answers: twice, for what happens in a second."""
    import time

    from ark_broker.cli.render.metrics import families

    first, began = families(client.metrics()), time.monotonic()
    time.sleep(_SECONDS)
    second, took = families(client.metrics()), time.monotonic() - began
    told: dict[str, Any] = {}
    for name, metric in (
        ("received", "ark_broker_received_events_total"),
        ("stored", "ark_broker_stored_events_total"),
    ):
        if metric in second:
            told[f"{name}PerSecond"] = max(0.0, round((second[metric] - first.get(metric, 0.0)) / took, 1))
    for name, metric in (
        ("subscribers", "ark_broker_subscribers"),
        ("queueBytes", "ark_broker_queue_bytes"),
        ("waitingEvents", "ark_broker_waiting_events"),
        ("commitFailures", "ark_broker_commit_failures_total"),
    ):
        if metric in second:
            told[name] = int(second[metric])
    database = database_of(second)
    return told | ({"database": database} if database else {})


def database_of(metrics: dict[str, float]) -> str | None:
    """Only a broker on PostgreSQL listens to others' commits."""
    listening = metrics.get("ark_broker_listening")
    return None if listening is None else "PostgreSQL" if listening else _SQLITE


def _lines(told: dict[str, Any]) -> list[tuple[str, str, Mood]]:
    ready: tuple[str, str, Mood] = ("ready", "yes", "good")
    if not told["ready"]:
        ready = ("ready", f"no: {plain(told.get('notReady', ''))}", "error")
    lines: list[tuple[str, str, Mood]] = [
        ("broker", plain(told["url"], most=None), "plain"),
        ("version", plain(told.get("version") or "unknown"), "plain"),
        ready,
    ]
    if "database" in told:
        lines.append(("database", told["database"], "plain"))
    if "head" in told:
        lines.append(("head", str(told["head"]), "plain"))
    if "storedPerSecond" in told:
        text = f"{told.get('receivedPerSecond', 0)}/s received, {told['storedPerSecond']}/s stored"
        lines.append(("events", text, "plain"))
    if "subscribers" in told:
        lines.append(("readers", str(told["subscribers"]), "plain"))
    if told.get("commitFailures"):
        lines.append(("commits", f"{told['commitFailures']} failed since it began", "error"))
    if "waitingQuestions" in told:
        waiting = told["waitingQuestions"]
        text = f"{waiting} waiting" + (" or more" if waiting >= _MOST_QUESTIONS else "")
        lines.append(("questions", text, "waiting" if waiting else "plain"))
    for each in told.get("deliveries", []):
        failing = bool(each.get("failures"))
        text = f"{plain(each.get('name', ''))}  lag {each.get('lag', 0)}" + ("  failing" if failing else "")
        lines.append(("delivery", text, "error" if failing else "plain"))
    return lines
