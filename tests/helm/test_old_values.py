"""A values file of Ark's own chart installs, and means here what it meant there, or is named as meaning nothing."""

import copy
import re
from typing import Any

import pytest
import yaml

from tests.helm.cases import OLD_VALUES
from tests.helm.chart import CHART, ROOT, environment, render

PAGE = (ROOT / "docs" / "helm.md").read_text()


def without(*paths: str) -> dict[str, Any]:
    """The old values file without some of its values."""
    values = copy.deepcopy(OLD_VALUES)
    for path in paths:
        *groups, name = path.split(".")
        group = values
        for part in groups:
            group = group[part]
        del group[name]
    return values


def test_ports_names_and_parts_are_what_the_file_says() -> None:
    rendered = render(OLD_VALUES)

    assert rendered.one("Service")["spec"]["ports"][0]["port"] == 8081
    assert rendered.env["ARK_BROKER_PORT"] == "8082"
    assert rendered.one("Memory")["metadata"]["name"] == "ark-broker"
    assert rendered.one("Deployment")["spec"]["replicas"] == 2
    assert rendered.one("ServiceMonitor")["spec"]["endpoints"][0]["interval"] == "15s"
    assert len(rendered.one("NetworkPolicy")["spec"]["ingress"][0]["from"]) == 3
    assert rendered.pod["securityContext"]["runAsUser"] == 1001


def test_its_resources_go_before_the_charts() -> None:
    assert render(OLD_VALUES).broker["resources"] == OLD_VALUES["app"]["resources"]
    assert render(without("app.resources")).broker["resources"]["requests"]["memory"] == "256Mi"


def test_its_image_is_not_run() -> None:
    assert render(OLD_VALUES).broker["image"] == render().broker["image"]


def test_its_database_is_used_with_its_certificate() -> None:
    rendered = render(OLD_VALUES)

    # What only the old migration understood is not in the URLs; the certificate is named beside them.
    assert rendered.one("Secret")["stringData"] == {
        "database-url": "postgresql://broker:secret@db.data.svc:5432/ark?sslmode=verify-full",
        "migrate-database-url": "postgres://owner:secret@db.data.svc:5432/ark?sslmode=verify-full",
    }
    for container in (rendered.broker, rendered.pod["initContainers"][0]):
        assert environment(container)["PGSSLROOTCERT"] == "/etc/pg-ssl/ca.crt"
    assert rendered.env["ARK_BROKER_DATABASE_POOL_SIZE"] == "20"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://db/ark?sslrootcert=/ca.crt", "postgres://db/ark"),
        ("postgres://db/ark?sslrootcert=/ca.crt&sslmode=require", "postgres://db/ark?sslmode=require"),
        ("postgres://db/ark?sslmode=require", "postgres://db/ark?sslmode=require"),
    ],
)
def test_a_certificate_in_a_url_is_left_out_where_it_is_mounted(url: str, expected: str) -> None:
    tls = {"enabled": True, "secretName": "ca"}

    assert render({"database": {"url": url, "tls": tls}}).one("Secret")["stringData"]["database-url"] == expected
    assert render({"database": {"url": url}}).one("Secret")["stringData"]["database-url"] == url


def test_its_times_to_live_are_retention_unless_that_is_set() -> None:
    assert render(OLD_VALUES).env["ARK_BROKER_RETENTION"] == "event=604800s,message=2592000s"
    assert render(OLD_VALUES | {"settings": {"retention": "90d"}}).env["ARK_BROKER_RETENTION"] == "90d"
    one = render(without("database.eventVisibilityTtlSeconds"))
    assert one.env["ARK_BROKER_RETENTION"] == "message=2592000s"


def test_they_delete_nothing_from_sqlite_where_they_never_did() -> None:
    values = {"database": {"messageVisibilityTtlSeconds": 60}, "backends": {"message": "memory"}}

    assert "ARK_BROKER_RETENTION" not in render(values).env


def test_the_notes_name_each_value_that_does_nothing() -> None:
    section = render(OLD_VALUES).notes.partition("do nothing here")[2]
    named = set(re.findall(r"^  ([\w.]+)(?: \(.*\))?: \S", section, re.MULTILINE))

    assert named == ignored_paths()
    assert "limits (maxChunks, maxEvents, maxMessages, maxSpans, messageMaxBytes)" in section
    assert "chunks are in the log" in section


def test_the_notes_are_silent_where_nothing_is_ignored() -> None:
    notes = render({"backends": {"message": "memory", "chunk": "memory"}}).notes

    assert "do nothing here" not in notes
    assert "WARNING" not in notes


def ignored_paths() -> set[str]:
    """What the schema calls a value of the old chart without a use here, but for one that only newer files may have."""
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    found: set[str] = set()
    for name, rule in schema["properties"].items():
        candidates = {name: rule} | {f"{name}.{key}": value for key, value in rule.get("properties", {}).items()}
        found |= {path for path, value in candidates.items() if "not used here" in value.get("description", "")}
    return found - {"restartController.image"} | {"backends.chunk"}


def leaves(values: dict[str, Any], prefix: str = "") -> list[str]:
    """Paths of all values in a file."""
    paths: list[str] = []
    for name, value in values.items():
        path = f"{prefix}{name}"
        paths += leaves(value, f"{path}.") if isinstance(value, dict) and value else [path]
    return paths


def documented(path: str, page: str) -> bool:
    """Whether a page names a value, or the group that it is in with a star."""
    names = set(re.findall(r"`([\w.*]+)`", page))
    parts = path.split(".")
    return path in names or any(f"{'.'.join(parts[:depth])}.*" in names for depth in range(1, len(parts)))


@pytest.mark.parametrize("path", leaves(OLD_VALUES))
def test_the_page_says_what_becomes_of_every_old_value(path: str) -> None:
    assert documented(path, PAGE.partition("## Values of Ark's own chart")[2])


@pytest.mark.parametrize("path", leaves(yaml.safe_load((CHART / "values.yaml").read_text())))
def test_the_page_says_what_every_value_does(path: str) -> None:
    assert documented(path, PAGE.partition("## Values\n")[2].partition("## Values of Ark's own chart")[0])


def test_every_value_that_the_page_names_exists() -> None:
    table = PAGE.partition("## Values\n")[2].partition("## Values of Ark's own chart")[0]
    known = leaves(yaml.safe_load((CHART / "values.yaml").read_text()))
    named = re.findall(r"^\| `([\w.*]+)`", table, re.MULTILINE)

    assert named
    assert [name for name in named if name not in known and not name.endswith(".*")] == []
    assert [
        name for name in named if name.endswith(".*") and not any(path.startswith(name[:-1]) for path in known)
    ] == []
