"""What the values about access, redaction and delivery do."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from ark_broker.access.kubernetes import CA_FILE, TOKEN_FILE
from tests.helm.cases import GUARDED, GUARDED_BY_SECRETS
from tests.helm.chart import NAMESPACE, Object, Rendered, environment, render

AUTH: dict[str, Any] = {"auth": {"enabled": True}}
OPEN = "Whoever reaches the Service may read and remove everything: auth.enabled=true makes the broker ask for tokens."


def secret_of(rendered: Rendered, variable: str) -> tuple[str, str]:
    """Name and key of the Secret that a variable comes from."""
    reference: Object = rendered.env[variable]["secretKeyRef"]
    return reference["name"], reference["key"]


# -- authentication


def test_without_authentication_the_notes_say_what_that_means_and_the_environment_says_it_is_meant() -> None:
    rendered = render()

    assert OPEN in rendered.notes.splitlines()
    assert rendered.env["ARK_BROKER_ALLOW_OPEN"] == "true"
    assert "ARK_BROKER_AUTH" not in rendered.env
    assert rendered.of("Secret") == []


@pytest.mark.parametrize("values", [AUTH, {"settings": {"auth": True}}])
def test_with_authentication_the_broker_asks_for_tokens_and_the_notes_lead_to_the_first(values: Object) -> None:
    rendered = render(values)

    assert rendered.env["ARK_BROKER_AUTH"] == "true"
    assert "ARK_BROKER_ALLOW_OPEN" not in rendered.env
    assert OPEN not in rendered.notes
    assert 'get secret ark-broker-admin-token --output go-template=\'{{index .data "admin-token"' in rendered.notes
    assert "Ark's own programs send no tokens" in rendered.notes


def test_without_ark_nothing_is_said_about_its_programs() -> None:
    assert "send no tokens" not in render(AUTH | {"ark": {"enabled": False}}).notes


def test_the_first_token_is_made_up_and_long() -> None:
    first, second = (render({"auth": {"enabled": True, "adminToken": {"key": "value"}}}) for _ in range(2))

    tokens = [base64.b64decode(each.one("Secret")["data"]["value"]) for each in (first, second)]
    assert secret_of(first, "ARK_BROKER_ADMIN_TOKEN") == ("ark-broker-admin-token", "value")
    assert [len(token) for token in tokens] == [40, 40]
    assert tokens[0] != tokens[1]


def test_a_token_of_the_operators_is_used_and_none_is_made_up() -> None:
    rendered = render(GUARDED_BY_SECRETS)

    assert secret_of(rendered, "ARK_BROKER_ADMIN_TOKEN") == ("broker-admin", "value")
    assert [item["metadata"]["name"] for item in rendered.of("Secret")] == ["ark-broker-database"]
    assert "get secret broker-admin" in rendered.notes


def test_a_token_in_the_settings_gets_to_the_pod_by_a_secret() -> None:
    rendered = render(AUTH | {"settings": {"adminToken": "a-token-of-ones-own-making"}})

    assert rendered.one("Secret")["stringData"] == {"admin-token": "a-token-of-ones-own-making"}
    assert secret_of(rendered, "ARK_BROKER_ADMIN_TOKEN") == ("ark-broker-settings", "admin-token")


def test_probes_ask_what_is_open_to_everybody() -> None:
    broker = render(GUARDED).broker

    assert {broker[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")} == {
        "/health",
        "/readyz",
    }
    assert all("httpHeaders" not in broker[f"{probe}Probe"]["httpGet"] for probe in ("startup", "liveness"))


def test_an_issuer_and_what_its_claims_stand_for_reach_the_broker() -> None:
    env = render(GUARDED).env

    assert env["ARK_BROKER_OIDC_ISSUER"] == "https://login.example"
    assert env["ARK_BROKER_OIDC_AUDIENCE"] == "ark-broker"
    assert env["ARK_BROKER_OIDC_JWKS_URL"] == "https://login.example/keys"
    assert json.loads(env["ARK_BROKER_OIDC_CLAIMS"]) == GUARDED["auth"]["oidc"]["claims"]


def test_service_accounts_are_known_by_what_the_api_server_says() -> None:
    rendered = render(GUARDED)
    binding = rendered.one("ClusterRoleBinding")
    expected = {key: GUARDED["auth"]["kubernetes"][key] for key in ("permissions", "accounts")}

    assert json.loads(rendered.env["ARK_BROKER_KUBERNETES_TOKENS"]) == expected
    assert rendered.env["ARK_BROKER_KUBERNETES_AUDIENCE"] == "ark-broker"
    assert binding["roleRef"]["name"] == "system:auth-delegator"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "ark-broker", "namespace": NAMESPACE}]
    assert binding["metadata"]["name"] == f"{NAMESPACE}-ark-broker-token-review"


def test_permissions_of_every_account_are_words() -> None:
    rendered = render(GUARDED_BY_SECRETS)

    assert rendered.env["ARK_BROKER_KUBERNETES_TOKENS"] == "ingest,read"
    assert rendered.one("ClusterRoleBinding")["subjects"][0]["name"] == "mine"


def test_the_accounts_token_is_where_the_broker_looks_and_not_in_the_migration() -> None:
    rendered = render(GUARDED_BY_SECRETS)
    (mount,) = (mount for mount in rendered.broker["volumeMounts"] if mount["name"] == "service-account")
    (volume,) = (volume for volume in rendered.pod["volumes"] if volume["name"] == "service-account")

    token, authority = volume["projected"]["sources"]
    (item,) = authority["configMap"]["items"]
    directory = Path(mount["mountPath"])

    assert mount["readOnly"] is True
    assert directory / token["serviceAccountToken"]["path"] == TOKEN_FILE
    assert directory / item["path"] == CA_FILE
    (migration,) = rendered.pod["initContainers"]
    assert mount["name"] not in {each["name"] for each in migration["volumeMounts"]}
    assert "ARK_BROKER_ADMIN_TOKEN" not in environment(migration)


@pytest.mark.parametrize("values", [{}, AUTH])
def test_without_service_accounts_there_is_no_binding_and_no_token(values: Object) -> None:
    rendered = render(values)

    assert rendered.of("ClusterRoleBinding") == []
    assert "service-account" not in {volume["name"] for volume in rendered.pod["volumes"]}


def test_accounts_in_the_settings_are_bound_too() -> None:
    rendered = render(AUTH | {"settings": {"kubernetesTokens": "ingest"}})

    assert rendered.env["ARK_BROKER_KUBERNETES_TOKENS"] == "ingest"
    assert len(rendered.of("ClusterRoleBinding")) == 1


def test_prometheus_gets_a_token_of_its_own() -> None:
    (endpoint,) = render(GUARDED).one("ServiceMonitor")["spec"]["endpoints"]

    assert endpoint["authorization"] == {
        "type": "Bearer",
        "credentials": {"name": "prometheus-token", "key": "bearer"},
    }


def test_the_notes_say_where_prometheus_lacks_a_token() -> None:
    warning = "WARNING: Prometheus is refused."
    without = render(AUTH | {"prometheus": {"enable": True}})

    assert warning in without.notes
    assert "authorization" not in without.one("ServiceMonitor")["spec"]["endpoints"][0]
    assert warning not in render(GUARDED).notes
    assert warning not in render({"prometheus": {"enable": True}}).notes


# -- redaction


def test_rules_become_a_file() -> None:
    rendered = render(GUARDED)
    rules = rendered.one("ConfigMap", "ark-broker-redaction")["data"]["rules.json"]

    assert json.loads(rules) == GUARDED["redact"]
    assert rendered.env["ARK_BROKER_REDACT"] == "/etc/ark-broker-redaction/rules.json"
    assert {"name": "redaction", "mountPath": "/etc/ark-broker-redaction", "readOnly": True} in rendered.broker[
        "volumeMounts"
    ]
    others = render(GUARDED | {"redact": {"attributes": ["another"]}})
    assert rendered.one("Deployment")["spec"]["template"] != others.one("Deployment")["spec"]["template"]


def test_bundled_rules_are_a_word_and_no_rules_of_ones_own_are_the_bundled_ones() -> None:
    assert render({"redact": "bundled"}).env["ARK_BROKER_REDACT"] == "bundled"
    assert render({"redact": {}}).one("ConfigMap", "ark-broker-redaction")["data"] == {"rules.json": "{}"}


@pytest.mark.parametrize("off", ["off", False, "", None])  # YAML takes a bare `off` for false
def test_redaction_is_off_however_that_is_written(off: object) -> None:
    rendered = render({"redact": off})

    assert "ARK_BROKER_REDACT" not in rendered.env
    assert "redaction" not in {volume["name"] for volume in rendered.pod["volumes"]}


# -- delivery


def test_what_is_delivered_where_becomes_a_secret() -> None:
    rendered = render(GUARDED)
    texts = rendered.one("Secret", "ark-broker-settings")["stringData"]

    assert texts.keys() == {"a2a-token", "upstreams", "webhooks"}
    assert texts["upstreams"] == GUARDED["upstreams"]["value"]
    assert json.loads(texts["webhooks"]) == GUARDED["webhooks"]["value"]
    for key in texts:
        variable = f"ARK_BROKER_{key.replace('-', '_').upper()}"
        assert secret_of(rendered, variable) == ("ark-broker-settings", key)
    assert rendered.env["ARK_BROKER_DELIVER_TO"] == "10.0.0.0/8,*.data.svc"
    assert rendered.env["ARK_BROKER_PUBLIC_URL"] == "https://ark.example"


def test_upstreams_may_be_a_list_too() -> None:
    upstreams = [{"url": "http://tempo:4318", "name": "tempo", "maxBatchSpans": 64}]

    texts = render({"upstreams": {"value": upstreams}}).one("Secret")["stringData"]

    assert json.loads(texts["upstreams"]) == upstreams


def test_secrets_of_the_operators_are_referred_to() -> None:
    rendered = render(GUARDED_BY_SECRETS)

    assert secret_of(rendered, "ARK_BROKER_UPSTREAMS") == ("broker-upstreams", "upstreams")
    assert secret_of(rendered, "ARK_BROKER_WEBHOOKS") == ("broker-webhooks", "rules")


def test_pods_are_replaced_when_what_is_secret_changes() -> None:
    templates = [
        render({"upstreams": {"value": url}}).one("Deployment")["spec"]["template"]
        for url in ("http://one:4318", "http://one:4318", "http://two:4318")
    ]

    assert templates[0] == templates[1] != templates[2]
