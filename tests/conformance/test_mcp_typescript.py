"""The official TypeScript SDK, both generations, as the agent that asks: a person answers by REST."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path

import httpx
import pytest

from tests.support.process import StartBroker
from tests.support.waiting import wait_until

#: Connects, lists the tools, asks with a trace, and prints what came of it.
AGENT = """
const asks = async (client, url, version) => {
  const tools = (await client.listTools()).tools.map((tool) => tool.name);
  const progress = [];
  const params = {
    name: "ask_question",
    arguments: { text: "Deploy?", options: ["yes", "no"] },
    _meta: { traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" },
  };
  const options = { onprogress: (report) => progress.push(report.message) };
  const result = await (version === "1"
    ? client.callTool(params, undefined, options)
    : client.callTool(params, options));
  console.log(JSON.stringify({ tools, progress, answer: result.structuredContent.answer }));
  await client.close();
};
"""
FIRST = """
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
"""
SECOND = """
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
"""
RUN = """
const client = new Client({ name: "tests", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(process.argv[2] + "/mcp")));
await asks(client, process.argv[2], process.argv[3]);
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("package", "imports"),
    [("@modelcontextprotocol/sdk@1", FIRST), ("@modelcontextprotocol/client@2", SECOND)],
    ids=["first", "second"],
)
def test_the_typescript_sdk_asks_a_person(
    start_broker: StartBroker, sqlite_url: str, tmp_path: Path, package: str, imports: str
) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("NOT TESTED: the TypeScript SDK needs node and npm, which are not installed")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", package]
    installed = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    if installed.returncode != 0:
        pytest.skip(f"NOT TESTED: npm could not install {package}: {installed.stderr[-500:]}")
    (tmp_path / "agent.mjs").write_text(imports + AGENT + RUN)
    broker = start_broker(sqlite_url)
    started = {
        "type": "query.started",
        "sessionId": "s1",
        "query": "q1",
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    httpx.post(f"{broker.url}/v1/events", json=started).raise_for_status()

    def answer() -> None:
        def found() -> list[dict[str, str]]:
            items: list[dict[str, str]] = httpx.get(f"{broker.url}/v1/questions?state=open").json()["items"]
            return items

        (question,) = wait_until(found, timeout=60)
        assert (question["session"], question["query"]) == ("s1", "q1")
        httpx.post(f"{broker.url}/v1/questions/{question['id']}/answer", json={"answer": "yes"}).raise_for_status()

    person = threading.Thread(target=answer)
    person.start()
    command = [node, "agent.mjs", broker.url, package[-1]]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    person.join()

    assert ran.returncode == 0, ran.stderr
    printed = json.loads(ran.stdout.splitlines()[-1])
    assert printed["answer"] == "yes"
    assert "ask_question" in printed["tools"]
    assert printed["progress"][0].startswith("waiting for an answer: ark://questions/")
    assert httpx.get(f"{broker.url}/v1/queries/q1").json()["phase"] == "running"
