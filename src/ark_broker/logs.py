"""The broker's own log lines: structured, on stderr, from every library through one formatter.

Content never gets in: a line names what a request was about, not what it carried. Tracebacks are plain
for the same reason, as the rich ones print local variables.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

if TYPE_CHECKING:
    from ark_broker.settings import Settings

#: Their debug and info lines tell an operator nothing, and some of them print SQL parameters.
_QUIET: Final = (
    "aiosqlite",
    "alembic",
    "asyncio",
    "mcp",
    "httpcore",
    "httpx",
    "opentelemetry",
    "sqlalchemy",
    "sse_starlette",
)


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Send every log line of this process to `stream` (stderr where none is given); may be called again."""
    output = sys.stderr if stream is None else stream
    as_text = settings.log_format == "console" or (settings.log_format == "auto" and output.isatty())
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(_formatter(as_text, output))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Other people's debug lines are never wanted: they may hold what was sent to us.
    root.setLevel(max(level, logging.INFO))
    logging.getLogger("ark_broker").setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def _shared() -> list[Processor]:
    """What every line goes through, ours and other people's."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _formatter(as_text: bool, output: TextIO) -> logging.Formatter:
    last: list[Processor]
    if as_text:
        last = [
            structlog.dev.ConsoleRenderer(
                colors=output.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
            )
        ]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _first_things_first, *last],
    )


def _first_things_first(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """The same keys at the start of every line, so that a column of them can be read down."""
    head = {key: line.pop(key) for key in ("timestamp", "level", "logger", "event") if key in line}
    return {**head, **line}
