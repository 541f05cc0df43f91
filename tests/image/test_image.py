"""The image, built by the Dockerfile's own steps, without a container engine, and run as one would run it."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import signal
import sqlite3
import stat
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.image.container import Image, why_not
from tests.image.dockerfile import REPOSITORY, build, layers, stages
from tests.support.process import free_port
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(why_not()), reason=f"building the image {why_not()}"),
]

LIMIT = 150_000_000


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Built once a test run, by the first of its processes that needs it. Nothing may be written into it."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if worker else base) / "image"
    with Path(f"{directory}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            unfinished = directory.with_name("image-unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(mode=0o755)
            root = build(unfinished)
            for mounted in ("dev", "proc"):
                (root / mounted).mkdir()
            unfinished.rename(directory)
    return Image(directory / "image", stages()[-1])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An empty volume."""
    directory = tmp_path / "volume"
    directory.mkdir(mode=0o700)
    return directory


class Running:
    """`ark-broker serve` in the image."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, grpc_port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.grpc_port = grpc_port
        self.url = f"http://127.0.0.1:{port}"
        self._log = log

    def wait_ready(self) -> float:
        """Wait for `/readyz` to answer 200; returns the seconds since the call."""
        begun = time.monotonic()
        wait_until(self._ready, timeout=60, what="the broker to be ready")
        return time.monotonic() - begun

    def cpu_seconds(self) -> float:
        """Processor time that it has used so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def stop(self) -> int:
        """Send the image's stop signal, and wait; returns the exit code."""
        self.process.send_signal(signal.Signals[stages()[-1].only("STOPSIGNAL").value])
        return self.process.wait(30)

    def _ready(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def serving(image: Image, data: Path, **variables: object) -> Iterator[Running]:
    """The image's ENTRYPOINT and CMD, on free ports. Whatever still runs at the end is killed."""
    port, grpc_port = free_port(), free_port()
    program = image.stage.only("ENTRYPOINT").words + image.stage.only("CMD").words
    ports = {"ARK_BROKER_PORT": port, "ARK_BROKER_GRPC_PORT": grpc_port}
    log = data.with_name(f"{port}.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            image.command(program, data, **ports, **variables), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield Running(process, port, grpc_port, log)
    finally:
        process.kill()
        process.wait(30)


def files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in root.rglob("*"):
        yield path, path.lstat()


def size(root: Path) -> int:
    """Bytes of all files, as engines count the size of an image."""
    return sum(status.st_size for _, status in files(root) if stat.S_ISREG(status.st_mode))


def compressed_size(root: Path, archive: Path) -> int:
    """Bytes of a layer with all files, as registries keep it."""
    with tarfile.open(archive, "w:gz", compresslevel=6) as layer:
        layer.add(root, ".")
    return archive.stat().st_size


def test_the_image_is_smaller_than_150_mb_unpacked(
    image: Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unpacked, compressed = size(image.root), compressed_size(image.root, tmp_path / "image.tar.gz")

    with capsys.disabled():
        print(f"\nimage: {unpacked / 1e6:.1f} MB unpacked, {compressed / 1e6:.1f} MB compressed")
    assert compressed < unpacked < LIMIT


def test_a_new_release_changes_only_a_small_layer(image: Image) -> None:
    assert size(layers(image.root.parent) / "app") < 8_000_000


def test_it_serves_on_a_read_only_file_system_and_stops_when_told_to(
    image: Image, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for start in ("first", "second"):
        with serving(image, data) as broker:
            seconds, processor = broker.wait_ready(), broker.cpu_seconds()
            health = httpx.get(f"{broker.url}/health")
            code = broker.stop()
        with capsys.disabled():
            print(f"\n{start} start: ready after {seconds:.2f} s, of which {processor:.2f} s of processor time")

        assert health.status_code == 200
        assert code == 0
    assert (data / "ark-broker.db").stat().st_uid == image.user[0]


def test_the_healthcheck_tells_a_broker_that_serves_from_one_that_does_not(image: Image, data: Path) -> None:
    with serving(image, data) as broker:
        broker.wait_ready()
        while_it_serves = image.run(image.stage.healthcheck, data, ARK_BROKER_PORT=broker.port)
        broker.stop()
        afterwards = image.run(image.stage.healthcheck, data, ARK_BROKER_PORT=broker.port)

    assert while_it_serves.returncode == 0, while_it_serves.stderr
    assert afterwards.returncode == 1


def test_the_demo_plays_from_one_container_into_another(image: Image, data: Path, tmp_path: Path) -> None:
    producer = tmp_path / "producer"
    producer.mkdir()

    with serving(image, data) as broker:
        broker.wait_ready()
        played = image.run(["ark-broker", "demo", "--no-ask", "--speed", "max"], producer, ARK_BROKER_URL=broker.url)
        session = httpx.get(f"{broker.url}/v1/sessions/session-abc")

    assert played.returncode == 0, played.stderr
    assert len(session.json()["queries"]) == 3


def test_the_demo_asks_by_mcp_and_completes_with_the_answer(image: Image, data: Path, tmp_path: Path) -> None:
    producer = tmp_path / "producer"
    producer.mkdir()

    with serving(image, data) as broker:
        broker.wait_ready()
        command = image.command(["ark-broker", "demo", "--ask", "--speed", "max"], producer, ARK_BROKER_URL=broker.url)
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            (question,) = wait_until(lambda: open_questions(broker), timeout=60, what="a question")
            answered = image.run(["ark-broker", "answer", question["id"], "yes"], producer, ARK_BROKER_URL=broker.url)
            said, complaints = demo.communicate(timeout=60)
        finally:
            demo.kill()
            demo.wait(30)

    assert answered.returncode == 0, answered.stderr
    assert demo.returncode == 0, complaints
    assert "Approved!" in said


def open_questions(broker: Running) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = httpx.get(f"{broker.url}/v1/questions?state=open").json()["items"]
    return items


def test_it_serves_the_dashboard(image: Image, data: Path) -> None:
    with serving(image, data) as broker:
        broker.wait_ready()
        page = httpx.get(broker.url)
        scripts = re.findall(r'src="(/ui/assets/[^"]+\.js)"', page.text)
        answers = [httpx.get(f"{broker.url}{script}") for script in scripts]

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert [answer.status_code for answer in answers] == [200]
    assert answers[0].headers["content-encoding"] == "br"


def test_it_speaks_mcp(image: Image, data: Path) -> None:
    with serving(image, data) as broker:
        broker.wait_ready()
        answer = initialize(broker, {})

    assert answer.status_code == 200, answer.text
    assert '"serverInfo"' in answer.text
    assert answer.headers["mcp-session-id"]


def test_with_tokens_it_lets_in_whoever_has_one(image: Image, data: Path) -> None:
    made = image.run(["ark-broker", "token", "create", "ops", "--permission", "admin"], data)
    assert made.returncode == 0, made.stderr
    bearer = {"Authorization": f"Bearer {made.stdout.strip()}"}
    admin = {"Authorization": "Bearer a-token-of-the-operators-making"}

    variables = {"ARK_BROKER_AUTH": "true", "ARK_BROKER_ADMIN_TOKEN": admin["Authorization"].removeprefix("Bearer ")}
    with serving(image, data, **variables) as broker:
        broker.wait_ready()
        codes = [
            httpx.get(f"{broker.url}/v1/sessions", headers=headers).status_code
            for headers in ({}, {"Authorization": "Bearer arkb_made-up"}, bearer, admin)
        ]
        asked = [initialize(broker, headers).status_code for headers in ({}, bearer)]

    assert codes == [401, 401, 200, 200]
    assert asked == [401, 200]


def initialize(broker: Running, headers: dict[str, str]) -> httpx.Response:
    """What `/mcp` says to a client that begins."""
    client = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    return httpx.post(
        f"{broker.url}/mcp",
        json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client},
        headers={"Accept": "application/json, text/event-stream"} | headers,
        timeout=30,
    )


def test_it_checks_tokens_of_an_issuer(image: Image, data: Path) -> None:
    program = (
        "import jwt\n"
        "from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key\n"
        "key = generate_private_key(SECP256R1())\n"
        "token = jwt.encode({'sub': 'ops'}, key, 'ES256')\n"
        "print(jwt.decode(token, key.public_key(), ['ES256']))\n"
    )

    printed = image.run(["python", "-c", program], data)

    assert printed.stdout == "{'sub': 'ops'}\n", printed.stderr


def test_it_redacts_by_the_bundled_rules(image: Image, data: Path) -> None:
    with serving(image, data, ARK_BROKER_REDACT="bundled") as broker:
        broker.wait_ready()
        event = {"type": "note", "sessionId": "s", "body": {"api_key": "not-to-be-kept"}}
        sent = httpx.post(f"{broker.url}/v1/events", json=event)
        seen = httpx.get(f"{broker.url}/v1/sessions/s/events").text

    assert sent.is_success, sent.text
    assert "[redacted:api-key]" in seen
    assert "not-to-be-kept" not in seen


def test_it_shows_tracebacks_in_colour_and_tells_prices(image: Image, data: Path) -> None:
    program = (
        "import io, sys\n"
        "from genai_prices import Usage, calc_price\n"
        "from rich.console import Console\n"
        "from rich.syntax import Syntax\n"
        "console = Console(file=io.StringIO(), force_terminal=True)\n"
        "console.print(Syntax('def f(): pass', 'python'))\n"
        "try:\n"
        "    raise ValueError\n"
        "except ValueError:\n"
        "    console.print_exception()\n"
        "price = calc_price(Usage(input_tokens=1000, output_tokens=100), model_ref='gpt-4o', provider_id='openai')\n"
        "print(price.total_price > 0, 'ValueError' in console.file.getvalue())\n"
    )

    printed = image.run(["python", "-c", program], data)

    assert printed.stdout == "True True\n", printed.stderr


def test_it_takes_otlp_over_grpc(image: Image, data: Path) -> None:
    import grpc
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

    with serving(image, data) as broker:
        broker.wait_ready()
        with grpc.insecure_channel(f"127.0.0.1:{broker.grpc_port}") as channel:
            answer = TraceServiceStub(channel).Export(ExportTraceServiceRequest(), timeout=30)

    assert answer.partial_success.rejected_spans == 0


def test_migrate_prepares_a_postgresql_that_serve_then_runs_on(image: Image, data: Path, postgres_url: str) -> None:
    url = postgres_url
    if "?host=/" in url:
        # The tests' own server listens on a socket outside the image.
        url, _, directory = url.partition("?host=")
        (data / ".s.PGSQL.5432").hardlink_to(f"{directory}/.s.PGSQL.5432")
        url += "?host=/data"

    migrated = image.run(["ark-broker", "migrate"], data, ARK_BROKER_DATABASE_URL=url)
    assert migrated.returncode == 0, migrated.stderr
    with serving(image, data, ARK_BROKER_DATABASE_URL=url) as broker:
        broker.wait_ready()
        code = broker.stop()

    assert code == 0


def test_the_backup_of_the_docs_is_a_database_of_its_own(image: Image, data: Path) -> None:
    page = (REPOSITORY / "docs" / "docker.md").read_text()
    (command,) = re.findall(r"^ {4}docker exec ark-broker (python -c .*VACUUM.*)$", page, re.MULTILINE)

    with serving(image, data) as broker:
        broker.wait_ready()
        made = image.run(shlex.split(command), data)

    assert made.returncode == 0, made.stderr
    with closing(sqlite3.connect(data / "backup.db")) as backup:
        assert backup.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert backup.execute("SELECT count(*) FROM log_head").fetchone() == (1,)


def test_it_verifies_certificates_and_knows_its_user_without_a_home(image: Image, data: Path) -> None:
    program = "import getpass, ssl; print(getpass.getuser(), len(ssl.create_default_context().get_ca_certs()) > 50)"

    printed = image.run(["python", "-c", program], data)

    assert printed.stdout == "ark-broker True\n", printed.stderr


def test_every_module_of_the_broker_can_be_imported(image: Image, data: Path) -> None:
    program = (
        "import importlib, pkgutil, ark_broker\n"
        "for module in pkgutil.walk_packages(ark_broker.__path__, 'ark_broker.'):\n"
        "    if not module.name.startswith(('ark_broker.__main__', 'ark_broker._alembic')):\n"
        "        importlib.import_module(module.name)\n"
    )

    assert image.run(["python", "-W", "error::ImportWarning", "-c", program], data).stderr == ""


def test_everything_a_broker_imports_is_compiled(image: Image, data: Path) -> None:
    program = (
        "import sys, asyncpg, aiosqlite, ark_broker.app, ark_broker.cli.main, ark_broker.log.schema\n"
        "from pathlib import Path\n"
        "for module in list(sys.modules.values()):\n"
        "    cached = getattr(getattr(module, '__spec__', None), 'cached', None)\n"
        "    if cached and module.__name__ != '__main__' and not Path(cached).exists():\n"
        "        print(module.__name__)\n"
    )

    assert image.run(["python", "-c", program], data).stdout == ""


def test_only_its_directories_can_be_written_by_its_user_and_nothing_makes_it_root(image: Image) -> None:
    user, group = image.user
    writable = set()
    for path, status in files(image.root):
        assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID), path
        owned = status.st_uid == user or status.st_gid == group
        if not path.is_symlink() and (owned or status.st_mode & stat.S_IWOTH):
            writable.add(str(path.relative_to(image.root)))

    assert writable == {"data", "tmp"}


def test_it_has_no_shell_no_package_manager_and_no_compiler(image: Image) -> None:
    programs = {path.name for path, status in files(image.root) if path.parent.name in {"bin", "sbin"}}

    assert {name.rstrip("0123456789.") for name in programs} == {"ark-broker", "python"}


def test_scanners_find_the_packages_that_its_libraries_come_from(image: Image) -> None:
    status = image.root / "var" / "lib" / "dpkg" / "status.d"

    assert {"libc6", "libssl3", "libsqlite3-0"} <= {path.name for path in status.iterdir()}
    assert all("\nVersion: " in path.read_text() for path in status.iterdir())
    assert "VERSION_ID" in (image.root / "etc" / "os-release").read_text()
