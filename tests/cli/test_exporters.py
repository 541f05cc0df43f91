"""Whether an OpenTelemetry SDK with some variables would reach the broker."""

from __future__ import annotations

import pytest

from ark_broker.cli.exporters import exporter_problems

URL = "http://127.0.0.1:4318"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {ENDPOINT: URL},
        {ENDPOINT: "http://localhost:4318/"},
        {ENDPOINT: "http://localhost:4317"},
        {ENDPOINT: "http://localhost:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {TRACES: f"{URL}/v1/traces", "OTEL_TRACES_EXPORTER": "console,otlp"},
        {"OTEL_SERVICE_NAME": "x", "OTEL_SDK_DISABLED": "false"},
    ],
)
def test_what_reaches_it_is_no_problem(environment: dict[str, str]) -> None:
    assert exporter_problems(environment, URL, authentication=False) == []


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({ENDPOINT: "http://collector:4318"}, "another machine"),
        ({ENDPOINT: "http://localhost:9999"}, "the broker listens at"),
        ({ENDPOINT: "http://localhost:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "gRPC on port 4317"),
        ({ENDPOINT: "http://localhost:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "the broker listens at"),
        ({ENDPOINT: f"{URL}/v1/traces"}, "to which /v1/traces is added"),
        ({TRACES: URL}, "not /v1/traces"),
        ({ENDPOINT: "localhost:4318"}, "the broker listens at"),
        ({ENDPOINT: "http://localhost:http"}, "no URL"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "protobuf"}, "no protocol"),
        ({"OTEL_SDK_DISABLED": "TRUE"}, "nothing is recorded"),
        ({"OTEL_TRACES_EXPORTER": "none"}, "spans go elsewhere"),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, "drops every span"),
    ],
)
def test_what_misses_it_is_said_with_what_to_do(environment: dict[str, str], told: str) -> None:
    [found] = exporter_problems(environment, URL, authentication=False)

    assert told in found.told
    assert found.todo


def test_a_broker_that_wants_a_token_needs_the_header() -> None:
    with_header = {ENDPOINT: URL, "OTEL_EXPORTER_OTLP_HEADERS": "x=1,Authorization=Bearer%20t"}

    assert exporter_problems(with_header, URL, authentication=True) == []
    [found] = exporter_problems({ENDPOINT: URL}, URL, authentication=True)
    assert "no authorization" in found.told


def test_a_password_in_an_endpoint_is_not_shown() -> None:
    [found] = exporter_problems({ENDPOINT: "http://ann:secret@collector:4318"}, URL, authentication=False)

    assert "secret" not in found.told + found.todo
