"""docker-compose.yaml: valid, locked down, and in the order that migrations need."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from ark_broker.settings import Settings, load_settings, variable
from tests.image.dockerfile import REPOSITORY, stages

FILE = REPOSITORY / "docker-compose.yaml"


@pytest.fixture(scope="module")
def text() -> str:
    """The file as it is for somebody who set nothing: `${NAME:-default}` is the default."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", FILE.read_text())


@pytest.fixture(scope="module")
def compose(text: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text))


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(compose["services"])


def test_it_follows_the_compose_specification(compose: dict[str, Any]) -> None:
    # The checker does not know merge keys, which are YAML's; it gets the file with them resolved.
    PyCompose.from_yaml(yaml.safe_dump(compose)).to_spec()


def test_a_file_that_does_not_follow_it_is_noticed(compose: dict[str, Any]) -> None:
    broken = compose | {"services": {"broker": {"image": "ark-broker", "restart": "sometimes"}}}

    with pytest.raises(ValueError, match="restart"):
        PyCompose.from_yaml(yaml.safe_dump(broken))


def test_the_schema_is_migrated_before_the_broker_starts(services: dict[str, dict[str, Any]]) -> None:
    assert services["migrate"]["command"] == ["migrate"]
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["migrate"]["restart"] == "no"
    assert services["broker"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services["broker"]["environment"] == services["migrate"]["environment"]


def test_every_service_is_locked_down(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "cap_add" not in service
        assert "privileged" not in service
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "/tmp" in service["tmpfs"]


def test_the_database_is_reached_by_the_broker_alone_and_kept_in_a_volume(compose: dict[str, Any]) -> None:
    postgres = compose["services"]["postgres"]

    assert "ports" not in postgres
    assert postgres["networks"] == ["database"]
    assert compose["networks"]["database"] == {"internal": True}
    assert postgres["volumes"] == ["postgres-data:/var/lib/postgresql/data"]
    assert "postgres-data" in compose["volumes"]
    assert re.fullmatch(r"postgres:17\.\d+-\w+", postgres["image"])


def test_every_service_that_stays_has_a_healthcheck_and_comes_back(services: dict[str, dict[str, Any]]) -> None:
    assert services["postgres"]["healthcheck"]["test"][1] == "pg_isready"
    assert "healthcheck" not in services["broker"], "it has the image's"
    assert stages()[-1].healthcheck
    assert {name for name, service in services.items() if service["restart"] == "unless-stopped"} == {
        "postgres",
        "broker",
    }


def test_the_broker_has_time_to_commit_what_it_received(services: dict[str, dict[str, Any]]) -> None:
    assert int(services["broker"]["stop_grace_period"].removesuffix("s")) > load_settings().shutdown_seconds


def test_the_ports_of_otlp_lead_to_those_of_the_image_on_this_machine_alone(
    services: dict[str, dict[str, Any]],
) -> None:
    exposed = set(stages()[-1].only("EXPOSE").words)

    assert services["broker"]["ports"] == ["127.0.0.1:4318:8080", "127.0.0.1:4317:4317"]
    assert {port.rpartition(":")[2] for port in services["broker"]["ports"]} == exposed


def test_its_variables_are_settings_with_valid_values(services: dict[str, dict[str, Any]]) -> None:
    known = {variable(name): name for name in Settings.model_fields}
    assert set(re.findall(r"ARK_BROKER_[A-Z_]*[A-Z]", FILE.read_text())) <= known.keys()

    settings = load_settings({known[name]: value for name, value in services["broker"]["environment"].items()})

    assert settings.database_label == "postgresql://ark_broker:***@postgres/ark_broker"


def test_without_tokens_the_broker_is_there_for_this_machine_alone_and_tokens_can_be_switched_on(
    services: dict[str, dict[str, Any]],
) -> None:
    environment = services["broker"]["environment"]

    assert {name: environment[name] for name in ("ARK_BROKER_AUTH", "ARK_BROKER_ALLOW_OPEN")} == {
        "ARK_BROKER_AUTH": "false",
        "ARK_BROKER_ALLOW_OPEN": "true",
    }
    for port in services["broker"]["ports"]:
        assert ipaddress.ip_address(port.split(":")[0]).is_loopback
    assert '"${ARK_BROKER_AUTH:-false}"' in FILE.read_text()


def test_broker_and_database_agree_on_the_password(services: dict[str, dict[str, Any]]) -> None:
    postgres = services["postgres"]["environment"]

    assert services["broker"]["environment"]["ARK_BROKER_DATABASE_URL"] == (
        f"postgresql://{postgres['POSTGRES_USER']}:{postgres['POSTGRES_PASSWORD']}@postgres/{postgres['POSTGRES_DB']}"
    )
    assert FILE.read_text().count("${POSTGRES_PASSWORD:-ark-broker-local}") == 2
