"""The program of the hook, against a server that answers as Kubernetes' does."""

import json
import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.helm.chart import CHART, render

SCRIPT = CHART / "files" / "restart_controllers.py"


@dataclass
class Cluster:
    """What the API server has, and what it was asked for."""

    url: str = ""
    answers: dict[str, int] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    state = Cluster()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.requests.append((self.command, self.path, dict(self.headers), json.loads(body or "null")))
            self.send_response(state.answers.get(self.path.rsplit("/", 1)[-1], 404))
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_PATCH = _answer

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        server.shutdown()
        thread.join()


@pytest.fixture
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_a_controller_is_restarted_as_kubectl_would(cluster: Cluster, script: dict[str, Any]) -> None:
    cluster.answers["ark-controller"] = 200

    outcome = script["restart"](cluster.url, "ark-system", "ark-controller", script["sender"]("token", None))

    assert outcome == "restarted"
    ((method, path, headers, body),) = cluster.requests
    assert (method, path) == ("PATCH", "/apis/apps/v1/namespaces/ark-system/deployments/ark-controller")
    assert headers["Authorization"] == "Bearer token"
    assert headers["Content-Type"] == "application/merge-patch+json"
    assert list(body["spec"]["template"]["metadata"]["annotations"]) == ["kubectl.kubernetes.io/restartedAt"]


def test_a_controller_that_is_not_there_is_no_failure(cluster: Cluster, script: dict[str, Any]) -> None:
    assert script["restart"](cluster.url, "ark-system", "absent", script["sender"]("t", None)) == "not there"


def test_a_refusal_is_one(cluster: Cluster, script: dict[str, Any]) -> None:
    cluster.answers["ark-controller"] = 403

    with pytest.raises(OSError, match="403"):
        script["restart"](cluster.url, "ark-system", "ark-controller", script["sender"]("t", None))


def test_it_waits_for_a_broker_that_is_ready(cluster: Cluster, script: dict[str, Any]) -> None:
    cluster.answers["readyz"] = 200

    assert script["wait_for_broker"](cluster.url, seconds=60) is True
    assert {request[:2] for request in cluster.requests} == {("GET", "/readyz")}


def test_it_waits_no_longer_than_it_should(cluster: Cluster, script: dict[str, Any]) -> None:
    cluster.answers["readyz"] = 503

    assert script["wait_for_broker"](cluster.url, seconds=-1) is False


def test_the_whole_of_it_restarts_those_that_exist_and_fails_for_a_refusal(
    cluster: Cluster, script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: Any
) -> None:
    cluster.answers |= {"readyz": 200, "one": 200, "three": 200}
    # The API server of the test speaks plain HTTP: what would make it TLS is taken out.
    program = SCRIPT.read_text().replace("https://", "http://").replace("cafile=str(ACCOUNT / 'ca.crt')", "")
    program = program.replace('cafile=str(ACCOUNT / "ca.crt")', "")
    (tmp_path / "token").write_text("token\n")
    program = program.replace("/var/run/secrets/kubernetes.io/serviceaccount", str(tmp_path))
    host, port = cluster.url.removeprefix("http://").split(":")
    environment = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}

    def run(broker: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-ISc", program, "ark-system", "one,two,three", broker],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    done = run(cluster.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "ark-system/one: restarted",
        "ark-system/two: not there",
        "ark-system/three: restarted",
    ]

    cluster.answers["one"] = 500
    refused = run("")
    assert refused.returncode == 1
    assert "ark-system/one: HTTP Error 500" in refused.stderr
    assert "ark-system/three: restarted" in refused.stdout


def test_the_chart_hands_the_program_over_as_it_is() -> None:
    for job in render().of("Job"):
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["command"] == ["python", "-ISc"]
        assert container["args"][0].rstrip() == SCRIPT.read_text().rstrip()
        # Kubernetes would replace this by a variable's value.
        assert "$(" not in container["args"][0]
