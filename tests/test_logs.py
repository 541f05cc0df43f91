import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from ark_broker.logs import configure
from ark_broker.settings import load_settings


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def logged(stream: io.StringIO, **settings: object) -> io.StringIO:
    configure(load_settings(settings), stream)
    return stream


def test_a_line_is_json_where_nobody_looks() -> None:
    stream = logged(io.StringIO())

    structlog.get_logger("ark_broker.log").info("committed", events=3)

    line = json.loads(stream.getvalue())
    assert line["timestamp"].endswith("Z")
    del line["timestamp"]
    assert line == {"level": "info", "logger": "ark_broker.log", "event": "committed", "events": 3}


def test_a_line_is_text_on_a_terminal() -> None:
    stream = logged(Terminal())

    structlog.get_logger("ark_broker.log").info("committed")

    assert "committed" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_the_setting_decides_against_the_terminal() -> None:
    stream = logged(Terminal(), log_format="json")

    structlog.get_logger("ark_broker.log").info("committed")

    assert json.loads(stream.getvalue())["event"] == "committed"


def test_other_libraries_lines_have_the_same_form_and_the_request_id() -> None:
    stream = logged(io.StringIO())

    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        logging.getLogger("uvicorn.error").warning("Invalid %s", "request")

    line = json.loads(stream.getvalue())
    assert (line["event"], line["request_id"], line["level"]) == ("Invalid request", "r-1", "warning")


def test_debug_shows_our_lines_and_not_the_parameters_of_other_libraries() -> None:
    stream = logged(io.StringIO(), log_level="debug")

    structlog.get_logger("ark_broker.access").debug("request")
    logging.getLogger("aiosqlite").debug("executing INSERT %s", "body")
    logging.getLogger("somebody.else").debug("body")

    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["request"]


def test_a_level_hides_what_is_below_it() -> None:
    stream = logged(io.StringIO(), log_level="error")

    structlog.get_logger("ark_broker.log").warning("slow")
    logging.getLogger("uvicorn.error").info("started")

    assert stream.getvalue() == ""


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_shows_no_local_variables(style: str) -> None:
    stream = logged(Terminal(), log_format=style)

    def fail(body: str) -> None:
        raise RuntimeError(f"{len(body)} bytes")

    try:
        fail("somebody's " + "secret")
    except RuntimeError:
        structlog.get_logger("ark_broker.log").exception("failed")

    assert "17 bytes" in stream.getvalue()
    assert "somebody's secret" not in stream.getvalue()


def test_text_that_no_encoding_holds_is_logged_all_the_same() -> None:
    stream = logged(io.StringIO())

    structlog.get_logger("ark_broker.log").info("odd", name="\ud800", number=2**80, value=object())

    assert "odd" in stream.getvalue()
