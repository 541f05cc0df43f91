import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from typer.testing import CliRunner, Result

from ark_broker.cli.demo_story import DEPLOY, WEATHER, Names, choose_names, tokens_of
from ark_broker.cli.main import app
from tests.support.process import PROGRAM, Broker, StartBroker, environment, free_port, run_command
from tests.support.waiting import wait_until


class Recorder:
    """A server that takes what the demo sends, and remembers it in order."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.streams: dict[str, list[dict[str, Any]]] = {}
        self.completed: list[str] = []
        self.sessions: set[str] = set()
        self.refuse: dict[str, int] = {}
        self.lose_chunks = 0

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        for prefix, status in self.refuse.items():
            if path.startswith(prefix):
                return status, {"error": "refused by the test"}
        match method, *path.strip("/").split("/"):
            case "GET", "v1", "sessions", session:
                return (200 if session in self.sessions else 404), {}
            case "POST", "v1", "traces":
                request = ExportTraceServiceRequest.FromString(body)
                self.spans += [
                    span
                    for resource in request.resource_spans
                    for scope in resource.scope_spans
                    for span in scope.spans
                ]
                return 200, {}
            case "POST", "stream", query:
                self.streams[query] = [json.loads(line) for line in body.splitlines()]
                return 200, {"chunks_received": len(self.streams[query]) - self.lose_chunks}
            case "POST", "stream", query, "complete":
                self.completed.append(query)
                return 200, {"status": "completed"}
        return 404, {}

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


def handler_for(recorder: Recorder) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer("GET", b"")

        def do_POST(self) -> None:
            self._answer("POST", self._body())

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _answer(self, method: str, body: bytes) -> None:
            status, document = recorder.answer(method, self.path, body)
            # An empty body is a full success in OTLP.
            payload = b"" if self.path == "/v1/traces" else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def recorder_url(recorder: Recorder) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_for(recorder)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run_demo(url: str, *options: str) -> Result:
    return CliRunner().invoke(app, ["demo", "--no-ask", "--url", url, "--speed", "max", *options])


def attributes(span: Span) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in span.attributes}


def test_it_plays_the_prototypes_session(recorder: Recorder, recorder_url: str) -> None:
    result = run_demo(recorder_url)

    assert result.exit_code == 0, result.output
    assert [span.name for span in recorder.spans] == [
        "query.started",
        "llm.request",
        "tool.call",
        "tool.result",
        "query.completed",
        "query.started",
        "tool.call",
        "query.waiting",
        "query.started",
    ]
    started = [attributes(span) for span in recorder.named("query.started")]
    assert [span["query.name"] for span in started] == ["query-001", "query-002", "query-003"]
    assert {span["session.id"] for span in started} == {"session-abc"}
    assert started[0]["stream.id"] == "stream-001"


def test_a_tool_call_and_its_result_are_one_span_told_twice(recorder: Recorder, recorder_url: str) -> None:
    run_demo(recorder_url)

    call, result = recorder.named("tool.call")[0], recorder.named("tool.result")[0]
    assert (call.trace_id, call.span_id, call.parent_span_id) == (
        result.trace_id,
        result.span_id,
        result.parent_span_id,
    )
    assert attributes(call)["tool.input"] == "weather NYC"
    assert attributes(result)["tool.output"] == "72F sunny"
    assert call.start_time_unix_nano == result.start_time_unix_nano
    assert call.end_time_unix_nano < result.end_time_unix_nano


def test_a_query_is_one_trace_and_its_lifecycle_is_told_about_the_root(recorder: Recorder, recorder_url: str) -> None:
    run_demo(recorder_url)

    roots = recorder.named("query.started")
    assert len({span.trace_id for span in roots}) == 3
    assert recorder.named("query.completed")[0].span_id == roots[0].span_id
    assert recorder.named("query.waiting")[0].span_id == roots[1].span_id
    assert recorder.named("tool.call")[1].parent_span_id == roots[1].span_id
    assert all(not span.parent_span_id for span in roots)


def test_chunks_are_one_stream_for_each_query_and_only_the_first_completes(
    recorder: Recorder, recorder_url: str
) -> None:
    run_demo(recorder_url)

    contents = {
        query: [text for chunk in chunks if (text := chunk["choices"][0]["delta"].get("content"))]
        for query, chunks in recorder.streams.items()
    }
    assert len(contents["query-001"]) == 52
    assert len(contents["query-002"]) == 23
    assert "".join(contents["query-001"]) == WEATHER
    assert "".join(contents["query-002"]) == DEPLOY
    assert recorder.streams["query-003"][-1]["choices"][0]["finish_reason"] is None
    assert recorder.completed == ["query-001"]


def test_it_ends_with_the_commands_to_look_at_it(recorder_url: str) -> None:
    output = run_demo(recorder_url).output

    assert f"{recorder_url}/ui/sessions/session-abc\n" in output
    assert f"ark-broker session session-abc --url {recorder_url}\n" in output
    assert f"ark-broker tail session-abc --url {recorder_url}\n" in output
    assert f"ark-broker replay query-001 --url {recorder_url}\n" in output
    assert f"curl {recorder_url}/v1/sessions/session-abc\n" in output


def test_a_second_demo_gets_names_of_its_own(recorder: Recorder, recorder_url: str) -> None:
    recorder.sessions.add("session-abc")

    run_demo(recorder_url)

    started = attributes(recorder.named("query.started")[0])
    assert started["session.id"].startswith("session-abc-")
    assert started["query.name"].startswith("query-001-")
    assert started["query.name"] in recorder.streams


def test_a_session_of_ones_own_has_queries_of_its_own(recorder: Recorder, recorder_url: str) -> None:
    run_demo(recorder_url, "--session", "mine")

    started = attributes(recorder.named("query.started")[0])
    assert (started["session.id"], started["query.name"]) == ("mine", "query-001-mine")


def test_names_are_the_prototypes_where_they_are_free() -> None:
    names = choose_names(None, taken=lambda _: False)

    assert (names.session, names.query(2), names.stream(1), names.mcp_session, names.question) == (
        "session-abc",
        "query-002",
        "stream-001",
        "mcp-xyz",
        "q-123",
    )
    assert choose_names("mine", taken=lambda _: True).session == "mine"
    assert choose_names("mine", taken=lambda _: True).suffix != "-mine"
    assert Names("s", "-x").question == "q-123-x"


def test_tokens_are_the_whole_text() -> None:
    assert "".join(tokens_of(WEATHER)) == WEATHER


def test_no_broker_is_one_line_and_exit_code_1() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    result = run_command("demo", "--no-ask", "--speed", "max", url=url)

    assert result.returncode == 1
    assert result.stderr.startswith(f"ark-broker: no broker at {url}")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(("path", "status"), [("/v1/traces", 400), ("/stream/query-001", 413), ("/v1/sessions", 500)])
def test_what_the_broker_refuses_is_named_with_exit_code_1(
    recorder: Recorder, recorder_url: str, path: str, status: int
) -> None:
    recorder.refuse[path] = status

    result = run_demo(recorder_url)

    assert result.exit_code == 1
    assert str(status) in result.stderr
    assert recorder_url in result.stderr


def test_chunks_that_the_broker_did_not_take_are_noticed(recorder: Recorder, recorder_url: str) -> None:
    recorder.lose_chunks = 1

    result = run_demo(recorder_url)

    assert result.exit_code == 1
    assert "52 of 53 chunks" in result.stderr


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan"])
def test_a_speed_that_is_none_is_a_usage_error(speed: str) -> None:
    assert CliRunner().invoke(app, ["demo", "--speed", speed]).exit_code == 2


def test_a_factor_is_a_speed(recorder: Recorder, recorder_url: str) -> None:
    result = CliRunner().invoke(app, ["demo", "--no-ask", "--url", recorder_url, "--speed", "100000"])

    assert result.exit_code == 0
    assert recorder.completed == ["query-001"]


def test_a_real_broker_shows_the_prototypes_session(broker: Broker) -> None:
    result = run_command("demo", "--no-ask", "--speed", "max", url=broker.url)
    assert result.returncode == 0, result.stderr

    view = httpx.get(f"{broker.url}/v1/sessions/session-abc").json()

    assert view["id"] == "session-abc"
    queries = view["queries"]
    assert {name: query["phase"] for name, query in queries.items()} == {
        "query-001": "done",
        "query-002": "waiting",
        "query-003": "running",
    }
    first = queries["query-001"]
    assert len(first["traceId"]) == 32
    assert first["mcpSessions"] == {"ark-broker": "mcp-xyz"}
    assert first["streamId"] == "stream-001"
    events = {event["type"]: event for event in first["events"]}
    assert events["query.started"]["ts"].endswith("Z")
    tool = events["tool.call"]
    assert (tool["tool"], tool["input"], tool["output"]) == ("web_search", "weather NYC", "72F sunny")
    assert events["query.completed"]["duration"] == 1200


def test_a_real_broker_gives_the_consumer_view_to_its_end(broker: Broker) -> None:
    run_command("demo", "--no-ask", "--speed", "max", url=broker.url)

    frames = [
        line.removeprefix("data: ")
        for line in httpx.get(f"{broker.url}/v1/queries/query-001/stream", timeout=30).text.splitlines()
        if line.startswith("data: ")
    ]

    assert frames[-1] == "[DONE]"
    chunks = [json.loads(frame) for frame in frames[:-1] if '"choices"' in frame]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == WEATHER


def test_two_demos_make_two_sessions(broker: Broker) -> None:
    for _ in range(2):
        assert run_command("demo", "--no-ask", "--speed", "max", url=broker.url).returncode == 0

    sessions = httpx.get(f"{broker.url}/v1/sessions").json()
    assert len(sessions["items"]) == 2


def tree(view: dict[str, Any]) -> dict[str, list[str]]:
    """The session as the prototype draws it."""

    def line(event: dict[str, Any]) -> str:
        match event["type"]:
            case "stream":
                return f"[stream] ({event['tokens']} tokens)"
            case "tool.call":
                return f"[tool] {event['tool']} {event['input']!r} -> {event.get('output')!r}"
            case "question.asked":
                return f"[question] {event['message']}"
            case "task.updated":
                return f"[a2a] {event['taskId']} ({event['taskState']})"
        return f"[event] {event['type']}"

    return {
        f"{name} ({query['phase']})": [line(event) for event in query["events"]]
        for name, query in view["queries"].items()
    }


ASKED = "[tool] ask_question 'Approve production deploy?' -> {answer!r}"
BEFORE = ["[event] query.started", "[stream] (23 tokens)"]
QUESTION = ["[question] Approve production deploy?", "[a2a] task-xyz (submitted)"]


@pytest.mark.parametrize("restart", [False, True], ids=["up", "restarted"])
@pytest.mark.parametrize(("answer", "said"), [("yes", "Approved!"), ("no", "Understood:")])
def test_the_demo_that_asks_waits_for_an_answer_and_goes_on_with_it(
    broker: Broker, answer: str, said: str, restart: bool
) -> None:
    command = [PROGRAM, "demo", "--ask", "--speed", "max"]
    demo = subprocess.Popen(
        command, env=environment({"url": broker.url}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:

        def waiting() -> dict[str, list[str]] | None:
            response = httpx.get(f"{broker.url}/v1/sessions/session-abc")
            found = tree(response.json()) if response.status_code == 200 else {}
            return found if "query-004 (error)" in found and len(found["query-003 (running)"]) == 2 else None

        shown = wait_until(waiting, what="the fourth query to fail")
        assert shown["query-002 (waiting)"] == [*BEFORE, ASKED.format(answer=None), *QUESTION]
        assert "[tool] web_search 'weather NYC' -> '72F sunny'" in shown["query-001 (done)"]
        failed = httpx.get(f"{broker.url}/v1/queries/query-004").json()
        (call,) = [entry for entry in failed["events"] if entry["type"] == "tool.call"]
        assert (call["tool"], call["status"]) == ("get_forecast", "error")
        assert call["error"].startswith("504 Gateway Timeout")
        if restart:
            broker.kill()
            broker.start()
        (question,) = httpx.get(f"{broker.url}/v1/questions?state=open").json()["items"]
        assert (question["session"], question["query"]) == ("session-abc", "query-002")
        answered = run_command("answer", question["uri"], answer, url=broker.url)
        assert answered.returncode == 0, answered.stderr
        output, errors = demo.communicate(timeout=90)
    finally:
        demo.kill()

    assert demo.returncode == 0, errors
    assert f"ark-broker answer {question['id']} yes" in output
    assert said in output
    view = httpx.get(f"{broker.url}/v1/sessions/session-abc").json()
    lines = tree(view)["query-002 (done)"]
    assert lines[:3] == [*BEFORE, ASKED.format(answer=answer)]
    assert lines[-1] == "[event] query.completed"
    frames = httpx.get(f"{broker.url}/v1/queries/query-002/stream", timeout=30).text
    assert said in "".join(
        json.loads(frame[6:])["choices"][0]["delta"].get("content", "")
        for frame in frames.splitlines()
        if frame.startswith('data: {"id"') and '"choices"' in frame
    )


def test_the_demo_that_asks_needs_a_broker() -> None:
    result = run_command("demo", "--ask", url=f"http://127.0.0.1:{free_port()}")

    assert result.returncode == 1
    assert "no broker at" in result.stderr


def test_the_demo_shows_its_token_to_a_broker_that_wants_one(start_broker: StartBroker, sqlite_url: str) -> None:
    token = "a-token-of-our-own-making-0123456789"
    broker = start_broker(sqlite_url, auth="true", admin_token=token)

    refused = run_command("demo", "--no-ask", "--speed", "max", url=broker.url)
    assert (refused.returncode, "401" in refused.stderr) == (1, True)
    played = run_command("demo", "--no-ask", "--speed", "max", url=broker.url, token=token)
    assert played.returncode == 0, played.stderr
    listed = run_command("questions", "--json", url=broker.url, token=token)
    assert listed.returncode == 0, listed.stderr
