"""Values that cannot be meant are refused, by a message that names them."""

from typing import Any

import helm_python
import pytest

from tests.helm.cases import URL
from tests.helm.chart import render

DATABASE = {"database": {"url": URL}}

#: By the schema: what is in a value is wrong.
WRONG: dict[str, dict[str, Any]] = {
    "'unheardOf'": {"unheardOf": 1},
    "/replicaCount": {"replicaCount": "two"},
    "/image/pullPolicy": {"image": {"pullPolicy": "Sometimes"}},
    "/image/digest": {"image": {"digest": "latest"}},
    "/database/url": {"database": {"url": "mysql://db/ark"}},
    "/database/poolMax": {"database": {"poolMax": 0}},
    "/migrate/mode": {"migrate": {"mode": "sometimes"}},
    "/persistence/size": {"persistence": {"size": "big"}},
    "/persistence/accessMode": {"persistence": {"accessMode": "ReadOnlyMany"}},
    "/service/type": {"service": {"type": "ExternalName"}},
    "/service/port": {"service": {"port": 0}},
    "/memory/port": {"memory": {"port": 70000}},
    "/grpc/port": {"grpc": {"port": "4317"}},
    "/settings/logLevel": {"settings": {"logLevel": "loud"}},
    "/settings/maxBodyBytes": {"settings": {"maxBodyBytes": "much"}},
    "/settings/heartbeatSeconds": {"settings": {"heartbeatSeconds": 0}},
    "/settings/arkCompat": {"settings": {"arkCompat": "d"}},
    "/settings/allowPurge": {"settings": {"allowPurge": "perhaps"}},
    "/settings/retention": {"settings": {"retention": "spans=30d"}},
    "/prometheus/interval": {"prometheus": {"interval": "often"}},
    "/backends/message": {"backends": {"message": "mongo"}},
    "/probes/liveness/periodSeconds": {"probes": {"liveness": {"periodSeconds": 0}}},
    "/podDisruptionBudget/minAvailable": {"podDisruptionBudget": {"minAvailable": "half"}},
    "/restartController/deployments": {"restartController": {"deployments": []}},
    "/extraEnv/0": {"extraEnv": [{"value": "of nothing"}]},
    "maxBodyByte": {"settings": {"maxBodyByte": 1}},
    "/auth/kubernetes/permissions/0": {"auth": {"kubernetes": {"permissions": ["everything"]}}},
    "/auth/kubernetes/accounts": {"auth": {"kubernetes": {"accounts": {"ark-controller": {"permissions": ["read"]}}}}},
    "/auth/oidc/issuer": {"auth": {"oidc": {"issuer": "login.example"}}},
    "/auth/oidc/claims": {"auth": {"oidc": {"claims": {"groupsClaim": "groups"}}}},
    "/auth/adminToken/existingSecret": {"auth": {"adminToken": {"existingSecret": "Not A Name"}}},
    "/redact": {"redact": "everything"},
    "/redact/patterns/0": {"redact": {"patterns": [{"name": "without an expression"}]}},
    "/upstreams/value": {"upstreams": {"value": {"url": "http://tempo:4318"}}},
    "/webhooks/value/0": {"webhooks": {"value": [{"name": "oncall"}]}},
    "/publicUrl": {"publicUrl": "ark.example"},
    "'enable'": {"networkPolicy": {"enable": True}},
}

#: By the chart: values contradict each other.
CONTRADICTIONS: dict[str, dict[str, Any]] = {
    "replicaCount is 2. SQLite serves one broker only": {"replicaCount": 2},
    "autoscaling.enabled is true. SQLite serves one broker only": {"autoscaling": {"enabled": True}},
    "settings.workers is 3. SQLite serves one broker only": {"settings": {"workers": 3}},
    "backends.event is postgres: set database.url or database.urlSecretRef.name": {"backends": {"event": "postgres"}},
    "database.tls.enabled is true: set database.tls.secretName": {"database": {"url": URL, "tls": {"enabled": True}}},
    "grpc.port and memory.port are both 8080": {"grpc": {"port": 8080}},
    "grpc.port and service.port are both 4317": {"service": {"port": 4317}},
    "extraEnv sets ARK_BROKER_PORT, and another value does": {"extraEnv": [{"name": "ARK_BROKER_PORT", "value": "1"}]},
    "auth.enabled is true and settings.auth is false": {"auth": {"enabled": True}, "settings": {"auth": False}},
    "settings.allowOpen is false, so the broker would not start: set auth.enabled": {"settings": {"allowOpen": False}},
    "extraEnv sets ARK_BROKER_AUTH: set auth.enabled": {"extraEnv": [{"name": "ARK_BROKER_AUTH", "value": "true"}]},
    "it is said whose tokens are taken, and none is asked for: set auth.enabled": {
        "auth": {"kubernetes": {"permissions": ["read"]}}
    },
    "auth.oidc.issuer and auth.oidc.audience go together": {
        "auth": {"enabled": True, "oidc": {"issuer": "https://login.example"}}
    },
    "auth.kubernetes takes a service account of the broker's own": {
        "auth": {"enabled": True, "kubernetes": {"permissions": ["read"]}},
        "serviceAccount": {"create": False},
    },
    "auth.adminToken.existingSecret and settings.adminToken are both set": {
        "auth": {"enabled": True, "adminToken": {"existingSecret": "mine"}},
        "settings": {"adminToken": "a-token-of-ones-own-making"},
    },
    "redact and settings.redact are both set": {"redact": "bundled", "settings": {"redact": "/mine.json"}},
    "upstreams.value and upstreams.existingSecret are both set": {
        "upstreams": {"value": "http://tempo:4318", "existingSecret": "mine"}
    },
    "webhooks.existingSecret and settings.webhooks are both set": {
        "webhooks": {"existingSecret": "mine"},
        "settings": {"webhooks": "[]"},
    },
    "publicUrl and settings.publicUrl are both set": {
        "publicUrl": "https://a.example",
        "settings": {"publicUrl": "https://b.example"},
    },
    "prices and settings.prices are both set": {"prices": {"models": {}}, "settings": {"prices": "/mine.json"}},
    "ingress.enabled is true: set ingress.hosts": {"ingress": {"enabled": True}},
    "autoscaling.minReplicas is more than autoscaling.maxReplicas": DATABASE
    | {"autoscaling": {"enabled": True, "minReplicas": 7}},
    "set autoscaling.targetCPUUtilizationPercentage": DATABASE
    | {"autoscaling": {"enabled": True, "targetCPUUtilizationPercentage": None}},
    "podDisruptionBudget.minAvailable and podDisruptionBudget.maxUnavailable are both set": {
        "podDisruptionBudget": {"enabled": True, "minAvailable": 1, "maxUnavailable": 1}
    },
    "terminationGracePeriodSeconds is 15; it must be more than preStopSeconds + settings.shutdownSeconds": {
        "terminationGracePeriodSeconds": 15
    },
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_refused_by_name(name: str) -> None:
    with pytest.raises(helm_python.HelmValuesError) as refusal:
        render(WRONG[name])

    assert name in str(refusal.value)


@pytest.mark.parametrize("message", CONTRADICTIONS)
def test_a_contradiction_is_refused_with_a_way_out(message: str) -> None:
    with pytest.raises(helm_python.HelmRenderError) as refusal:
        render(CONTRADICTIONS[message])

    assert message in str(refusal.value)


def test_all_contradictions_are_named_at_once() -> None:
    with pytest.raises(helm_python.HelmRenderError) as refusal:
        render({"replicaCount": 2, "ingress": {"enabled": True}})

    assert "replicaCount is 2" in str(refusal.value)
    assert "set ingress.hosts" in str(refusal.value)
