"""What went wrong in a session, each with where: the shortest way from a red session to the call that failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ark_broker.cli.render.printable import printable
from ark_broker.cli.render.values import plain, quoted

#: Above what really failed: they fail because something below them did.
_ABOVE = ("query.", "agent.", "workflow.")


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that failed; texts are printable, ids too."""

    query: str
    what: str
    why: str
    span: str = ""
    trace: str = ""

    def __str__(self) -> str:
        where = f" (span {self.span} of trace {self.trace})" if self.span else ""
        return f"{self.query}: {self.what}: {self.why}{where}"


@dataclass(frozen=True, slots=True)
class Span:
    """A span of a trace, as far as a failure is to be found by it. `error` is empty where it did not fail."""

    id: str
    trace: str
    name: str
    tool: str = ""
    error: str = ""


def failures(session: Mapping[str, Any], spans: Sequence[Span]) -> list[Failure]:
    """The failures of each query; `spans` are those of its traces that are known."""
    return [found for name, query in session.get("queries", {}).items() for found in _of_query(name, query, spans)]


def spans_of(trace: Mapping[str, Any]) -> Iterator[Span]:
    """Every span in `GET /v1/traces/{traceId}`, the first that began first."""
    waiting = [*reversed(trace.get("roots", []))]
    while waiting:
        node = waiting.pop()
        event = node.get("event", {})
        body = event.get("body")
        span = body.get("span") if isinstance(body, Mapping) else None
        name = span.get("name") if isinstance(span, Mapping) else None
        if event.get("spanId"):
            failed = _has_failed(event)
            yield Span(
                str(event["spanId"]),
                str(trace.get("traceId", "")),
                str(name or event.get("type", "")),
                str(event.get("tool") or ""),
                str(event.get("error") or "failed") if failed else "",
            )
        waiting += reversed(node.get("children", []))


def _of_query(name: str, query: Mapping[str, Any], spans: Sequence[Span]) -> list[Failure]:
    failed = [entry for entry in query.get("events", []) if _has_failed(entry)]
    leaves = [entry for entry in failed if not str(entry.get("type", "")).startswith(_ABOVE)]
    label = printable(name)
    trace, last = str(query.get("traceId") or ""), str(query.get("errorSpan") or "")
    own = [span for span in spans if span.trace == trace]
    found = []
    for entry in leaves or failed[-1:]:
        span = _span_of(entry, own)
        if span is not None:
            own.remove(span)
        place = span.id if span is not None else ""
        found.append(Failure(label, _what(entry), _why(entry), printable(place), printable(trace)))
    if not found and query.get("phase") == "error":
        names = [span.name for span in own if span.id == last]
        what = f"span {plain(names[0])}" if names else "the query"
        found = [Failure(label, what, plain(query.get("error") or "failed"), printable(last), printable(trace))]
    elif found and last and not any(each.span for each in found):
        found[-1] = replace(found[-1], span=printable(last))
    return found


def _span_of(entry: Mapping[str, Any], spans: Sequence[Span]) -> Span | None:
    """The span that failed as the entry did: of the same tool, or with the same error."""
    tool, error = str(entry.get("tool") or ""), str(entry.get("error") or "failed")
    alike = [span for span in spans if span.error and span.tool == tool]
    return next((span for span in alike if span.error == error), alike[0] if tool and alike else None)


def _has_failed(entry: Mapping[str, Any]) -> bool:
    return entry.get("status") == "error" or bool(entry.get("error")) or str(entry.get("type", "")).endswith(".failed")


def _what(entry: Mapping[str, Any]) -> str:
    kind = str(entry.get("type", ""))
    if kind == "tool.call":
        given = entry.get("input")
        arguments = "" if given is None else f"({quoted(given)})"
        return f"tool {printable(str(entry.get('tool') or 'call'))}{arguments}"
    if kind.startswith("llm.") or kind == "stream":
        return f"model {printable(str(entry.get('model') or 'call'))}"
    return plain(entry.get("name") or kind)


def _why(entry: Mapping[str, Any]) -> str:
    return plain(entry.get("error") or entry.get("message") or entry.get("output") or "failed", most=300)
