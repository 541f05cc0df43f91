"""What single values do."""

import json
from typing import Any

import pytest
import yaml

import ark_broker
from ark_broker.settings import Settings, variable
from tests.helm.cases import EVERYTHING, NOTHING, URL
from tests.helm.chart import CHART, NAMESPACE, Object, environment, is_hook, render


def kinds(objects: list[Object]) -> list[str]:
    return sorted(item["kind"] for item in objects if not is_hook(item))


def service_ref(config: Object) -> Object:
    assert config["data"]["enabled"] == "true"
    reference: Object = yaml.safe_load(config["data"]["serviceRef"])
    return reference


# -- by default


def test_without_values_it_is_a_drop_in_for_arks_broker_on_sqlite() -> None:
    rendered = render()
    service = rendered.one("Service")

    assert kinds(rendered.objects) == [
        "ConfigMap",
        "ConfigMap",
        "Deployment",
        "Memory",
        "PersistentVolumeClaim",
        "Service",
        "ServiceAccount",
    ]
    assert service["metadata"]["name"] == "ark-broker"
    assert service["spec"]["type"] == "ClusterIP"
    assert [(port["name"], port["port"]) for port in service["spec"]["ports"]] == [("http", 80), ("otlp-grpc", 4317)]
    assert rendered.env == {
        "ARK_BROKER_HOST": "0.0.0.0",
        "ARK_BROKER_PORT": "8080",
        "ARK_BROKER_GRPC_PORT": "4317",
        "ARK_BROKER_DATA_DIR": "/data",
        "ARK_BROKER_ALLOW_OPEN": "true",
    }
    assert rendered.one("PersistentVolumeClaim")["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_the_service_is_named_ark_broker_whatever_the_release_is_called() -> None:
    assert render(name="another").one("Service")["metadata"]["name"] == "ark-broker"
    assert render({"fullnameOverride": "mine"}).one("Service")["metadata"]["name"] == "mine"


def test_the_charts_versions_are_the_brokers() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["version"] == chart["appVersion"] == ark_broker.__version__
    assert render().broker["image"] == f"ark-broker:{ark_broker.__version__}"


def test_a_digest_goes_before_the_tag() -> None:
    image = {"repository": "example/broker", "tag": "9", "digest": f"sha256:{'a' * 64}"}

    assert render({"image": {"repository": "example/broker", "tag": "9"}}).broker["image"] == "example/broker:9"
    assert render({"image": image}).broker["image"] == f"example/broker@sha256:{'a' * 64}"


def test_probes_ask_what_they_are_for() -> None:
    broker = render({"probes": {"liveness": {"failureThreshold": 7}}}).broker

    assert [broker[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")] == [
        "/health",
        "/health",
        "/readyz",
    ]
    assert broker["livenessProbe"] == {
        "httpGet": {"path": "/health", "port": "http"},
        "periodSeconds": 10,
        "timeoutSeconds": 3,
        "failureThreshold": 7,
    }


def test_everything_off_is_a_deployment_and_its_service() -> None:
    rendered = render(NOTHING)

    assert kinds(rendered.objects) == ["Deployment", "Service"]
    assert [item for item in rendered.objects if is_hook(item)] == []
    assert rendered.env["ARK_BROKER_GRPC_PORT"] == "0"
    assert "WARNING: the log is lost with the pod" in rendered.notes
    assert "securityContext" not in rendered.pod


# -- database


def test_a_url_becomes_a_secret_and_appears_nowhere_else() -> None:
    rendered = render({"database": {"url": URL}})
    secret = rendered.one("Secret")

    assert secret["stringData"] == {"database-url": URL}
    assert rendered.env["ARK_BROKER_DATABASE_URL"] == {
        "secretKeyRef": {"name": secret["metadata"]["name"], "key": "database-url"}
    }
    assert "secret@" not in json.dumps([item for item in rendered.objects if item != secret]) + rendered.notes


def test_pods_are_replaced_when_the_url_changes() -> None:
    templates = [
        render({"database": {"url": url}}).one("Deployment")["spec"]["template"] for url in (URL, URL, f"{URL}2")
    ]

    assert templates[0] == templates[1] != templates[2]


def test_a_reference_goes_before_a_url_and_no_secret_is_made() -> None:
    rendered = render({"database": {"url": URL, "urlSecretRef": {"name": "pg", "key": "uri"}}})

    assert rendered.of("Secret") == []
    (migration,) = rendered.pod["initContainers"]
    for env in (rendered.env, environment(migration)):
        assert env["ARK_BROKER_DATABASE_URL"] == {"secretKeyRef": {"name": "pg", "key": "uri"}}


def test_another_user_can_migrate() -> None:
    by_url = render({"database": {"url": URL, "migrateUrl": f"{URL}?sslmode=require"}})
    by_secret = render({"database": {"urlSecretRef": {"name": "pg"}, "migrateUrlSecretRef": {"name": "owner"}}})

    reference = environment(by_url.pod["initContainers"][0])["ARK_BROKER_DATABASE_URL"]["secretKeyRef"]
    assert by_url.one("Secret")["stringData"][reference["key"]] == f"{URL}?sslmode=require"
    reference = environment(by_secret.pod["initContainers"][0])["ARK_BROKER_DATABASE_URL"]["secretKeyRef"]
    assert reference == {"name": "owner", "key": "database-url"}
    assert by_secret.env["ARK_BROKER_DATABASE_URL"]["secretKeyRef"]["name"] == "pg"


def test_a_job_migrates_with_a_secret_of_its_own_before_the_release() -> None:
    rendered = render({"database": {"url": URL}, "migrate": {"mode": "job"}})
    job, secret = rendered.one("Job", "ark-broker-migrate"), rendered.one("Secret", "ark-broker-migrate")

    assert "initContainers" not in rendered.pod
    assert secret["stringData"] == rendered.one("Secret", "ark-broker-database")["stringData"]
    for item in (job, secret):
        assert item["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["migrate"]


def test_nothing_migrates_where_the_operator_does_and_the_notes_say_so() -> None:
    rendered = render({"database": {"url": URL}, "migrate": {"mode": "none"}})

    assert "initContainers" not in rendered.pod
    assert rendered.one("Deployment")["spec"]["replicas"] == 1
    assert "run `ark-broker migrate`" in rendered.notes


def test_certificates_reach_the_broker_and_its_migration() -> None:
    tls = {"enabled": True, "secretName": "ca", "mountPath": "/tls"}
    rendered = render({"database": {"url": f"{URL}?sslmode=verify-full", "tls": tls}})

    for container in (rendered.broker, rendered.pod["initContainers"][0]):
        assert environment(container)["PGSSLROOTCERT"] == "/tls/ca.crt"
        assert {"name": "database-tls", "mountPath": "/tls", "readOnly": True} in container["volumeMounts"]
    assert {"name": "database-tls", "secret": {"secretName": "ca"}} in rendered.pod["volumes"]


def test_no_pod_of_postgresql_goes_before_another_is_ready() -> None:
    deployment = render({"database": {"url": URL}, "replicaCount": 3}).one("Deployment")["spec"]

    assert deployment["replicas"] == 3
    assert deployment["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


@pytest.mark.parametrize(
    ("storage_class", "expected"), [("", {}), ("fast", {"storageClassName": "fast"}), ("-", {"storageClassName": ""})]
)
def test_a_claim_names_its_class_or_none_or_leaves_it_to_the_cluster(storage_class: str, expected: Object) -> None:
    claim = render({"persistence": {"storageClass": storage_class, "keep": False}}).one("PersistentVolumeClaim")

    assert claim["spec"] == expected | {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "8Gi"}},
    }
    assert "helm.sh/resource-policy" not in claim["metadata"]["annotations"]


def test_a_claim_of_ones_own_is_used_and_none_is_made() -> None:
    rendered = render({"persistence": {"existingClaim": "mine"}})

    assert rendered.of("PersistentVolumeClaim") == []
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "mine"}} in rendered.pod["volumes"]


# -- settings


def test_settings_are_variables_as_they_were_written() -> None:
    env = render(EVERYTHING).env

    assert env["ARK_BROKER_RETENTION"] == "span=30d,chunk=12h"
    assert env["ARK_BROKER_MAX_BODY_BYTES"] == "128MiB"
    assert env["ARK_BROKER_QUEUE_BYTES"] == "268435456"
    assert env["ARK_BROKER_MAX_LINKS"] == "12000000"
    assert env["ARK_BROKER_HEARTBEAT_SECONDS"] == "7.5"
    assert env["ARK_BROKER_ALLOW_PURGE"] == "false"
    assert env["ARK_BROKER_ARK_COMPAT"] == "a"
    assert env["ARK_BROKER_DATABASE_POOL_SIZE"] == "30"


def test_every_setting_has_a_place_in_the_chart() -> None:
    samples: dict[str, Any] = {"host": "::", "retention": "30d", "sqliteSynchronous": "NORMAL"}
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["settings"]["properties"]
    for name, rule in schema.items():
        usual = rule.get("minimum", 1) if {"integer", "number"} & set(rule.get("type", ())) else "some text"
        samples.setdefault(name, rule["enum"][0] if "enum" in rule else usual)

    env = render({"settings": samples, "database": {"url": URL}}).env

    assert env.keys() == {variable(field) for field in Settings.model_fields}


def test_a_setting_that_is_empty_is_not_set() -> None:
    env = render({"settings": {"allowPurge": "", "logLevel": None, "host": ""}}).env

    assert not {"ARK_BROKER_ALLOW_PURGE", "ARK_BROKER_LOG_LEVEL", "ARK_BROKER_HOST"} & env.keys()


def test_a_price_table_becomes_a_file() -> None:
    prices = {"models": {"my-model": {"input": 0.15, "output": 0.6}}}
    rendered = render({"prices": prices})

    assert json.loads(rendered.one("ConfigMap", "ark-broker-prices")["data"]["prices.json"]) == prices
    assert rendered.env["ARK_BROKER_PRICES"] == "/etc/ark-broker/prices.json"
    assert {"name": "prices", "mountPath": "/etc/ark-broker", "readOnly": True} in rendered.broker["volumeMounts"]
    others = render({"prices": {"models": {}}})
    assert rendered.one("Deployment")["spec"]["template"] != others.one("Deployment")["spec"]["template"]


def test_a_pod_waits_before_it_stops_and_then_has_time_to() -> None:
    longer = render({"settings": {"shutdownSeconds": 45.5}, "preStopSeconds": 7})

    assert longer.pod["terminationGracePeriodSeconds"] == 7 + 46 + 15
    assert longer.broker["lifecycle"]["preStop"]["exec"]["command"] == ["python", "-ISc", "import time; time.sleep(7)"]
    assert "lifecycle" not in render({"preStopSeconds": 0}).broker
    assert render(EVERYTHING).pod["terminationGracePeriodSeconds"] == 90


# -- what can be switched on


def test_everything_on_reaches_the_pod() -> None:
    rendered = render(EVERYTHING)
    template = rendered.one("Deployment")["spec"]["template"]

    assert "replicas" not in rendered.one("Deployment")["spec"]
    assert template["metadata"]["labels"]["team"] == "agents"
    assert template["metadata"]["labels"]["app.kubernetes.io/name"] == "ark-broker"
    assert template["metadata"]["annotations"]["mesh"] == "true"
    assert rendered.env["TZ"] == "UTC"
    assert rendered.env["ZONE"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}
    assert rendered.broker["envFrom"] == [{"configMapRef": {"name": "more"}}]
    assert rendered.pod["priorityClassName"] == "high"
    assert rendered.pod["imagePullSecrets"] == [{"name": "pull"}]
    assert rendered.pod["nodeSelector"] == {"disk": "ssd"}
    assert rendered.pod["tolerations"] == [{"key": "agents", "operator": "Exists"}]
    assert rendered.pod["affinity"] == {"nodeAffinity": {}}
    (spread,) = rendered.pod["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"]["app.kubernetes.io/name"] == "ark-broker"


def test_a_spread_constraint_keeps_its_own_selector() -> None:
    constraint = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"team": "agents"}},
    }

    assert render({"topologySpreadConstraints": [constraint]}).pod["topologySpreadConstraints"] == [constraint]


def test_an_ingress_lets_streams_through() -> None:
    ingress = render({"ingress": {"enabled": True, "hosts": [{"host": "a.example"}]}}).one("Ingress")
    prefix = "nginx.ingress.kubernetes.io/"
    options = {
        name.removeprefix(prefix): value
        for name, value in ingress["metadata"]["annotations"].items()
        if name.startswith(prefix)
    }

    assert options == {
        "proxy-buffering": "off",
        "proxy-request-buffering": "off",
        "proxy-read-timeout": "3600",
        "proxy-send-timeout": "3600",
        "proxy-body-size": "0",
        "proxy-http-version": "1.1",
    }
    assert ingress["spec"]["rules"] == [
        {
            "host": "a.example",
            "http": {
                "paths": [
                    {
                        "path": "/",
                        "pathType": "Prefix",
                        "backend": {"service": {"name": "ark-broker", "port": {"name": "http"}}},
                    }
                ]
            },
        }
    ]


def test_an_ingress_keeps_the_operators_annotations() -> None:
    annotations = render(EVERYTHING).one("Ingress")["metadata"]["annotations"]

    assert annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"] == "60"
    assert annotations["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    assert annotations["cert"] == "yes"
    plain = render({"ingress": {"enabled": True, "nginx": False, "hosts": [{"host": "a.example"}]}}).one("Ingress")
    assert list(plain["metadata"]["annotations"]) == ["ark.mckinsey.com/service"]


def test_an_autoscaler_scales_the_deployment() -> None:
    spec = render(EVERYTHING).one("HorizontalPodAutoscaler")["spec"]

    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ark-broker"}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 9)
    targets = {metric["resource"]["name"]: metric["resource"]["target"] for metric in spec["metrics"]}
    assert targets == {
        "cpu": {"type": "Utilization", "averageUtilization": 70},
        "memory": {"type": "Utilization", "averageUtilization": 80},
    }
    assert spec["behavior"] == {"scaleDown": {"stabilizationWindowSeconds": 600}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"maxUnavailable": 1}),
        ({"minAvailable": 2}, {"minAvailable": 2}),
        ({"minAvailable": 0}, {"minAvailable": 0}),
        ({"maxUnavailable": "25%"}, {"maxUnavailable": "25%"}),
    ],
)
def test_a_disruption_budget_has_one_bound(given: Object, expected: Object) -> None:
    spec = render({"podDisruptionBudget": {"enabled": True} | given}).one("PodDisruptionBudget")["spec"]

    assert {name: value for name, value in spec.items() if name != "selector"} == expected


def test_a_network_policy_admits_the_own_namespace_and_those_named() -> None:
    (rule,) = render(EVERYTHING).one("NetworkPolicy")["spec"]["ingress"]

    assert rule["from"] == [
        {"podSelector": {}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ark-system"}}},
        {"ipBlock": {"cidr": "10.0.0.0/8"}},
    ]


def test_prometheus_is_told_where_the_metrics_are() -> None:
    monitor = render(EVERYTHING).one("ServiceMonitor")

    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["endpoints"] == [{"port": "http", "path": "/metrics", "interval": "15s"}]
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": [NAMESPACE]}


# -- Ark


def test_producers_find_the_broker_by_two_config_maps() -> None:
    rendered = render()

    for name in ("ark-config-streaming", "ark-config-broker"):
        assert service_ref(rendered.one("ConfigMap", name)) == {
            "name": "ark-broker",
            "port": "http",
            "namespace": NAMESPACE,
        }


def test_a_port_other_than_80_is_named_where_http_would_mean_80() -> None:
    rendered = render({"service": {"port": 8081}})

    assert service_ref(rendered.one("ConfigMap", "ark-config-streaming"))["port"] == "http"
    assert service_ref(rendered.one("ConfigMap", "ark-config-broker"))["port"] == "8081"


def test_the_memory_resource_leads_to_the_service() -> None:
    memory = render().one("Memory")

    assert memory["apiVersion"] == "ark.mckinsey.com/v1alpha1"
    assert memory["metadata"]["name"] == "default"
    assert memory["spec"] == {
        "address": {"valueFrom": {"serviceRef": {"name": "ark-broker", "namespace": NAMESPACE, "port": "http"}}}
    }
    named = render({"memory": {"setAsDefault": False}}, name="release").one("Memory")
    assert named["metadata"]["name"] == "release"


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({"streaming": {"enabled": False}}, ("ConfigMap", "ark-config-streaming")),
        ({"otelEndpoint": {"enabled": False}}, ("ConfigMap", "ark-config-broker")),
        ({"memory": {"createMemoryCRD": False}}, ("Memory", "default")),
        ({"restartController": {"enabled": False}}, ("Job", "ark-broker-restart-controller")),
    ],
)
def test_each_part_of_arks_integration_can_be_switched_off(values: Object, missing: tuple[str, str]) -> None:
    names = {(item["kind"], item["metadata"]["name"]) for item in render(values).objects}

    assert missing not in names
    assert missing in {(item["kind"], item["metadata"]["name"]) for item in render().objects}


def test_hooks_restart_the_controllers_after_install_upgrade_and_uninstall() -> None:
    rendered = render({"restartController": {"namespace": "control", "deployments": ["one", "two"]}})
    after, shutdown = rendered.of("Job")
    role, binding = rendered.one("Role"), rendered.one("RoleBinding")

    assert after["metadata"]["annotations"]["helm.sh/hook"] == "post-install,post-upgrade"
    assert shutdown["metadata"]["annotations"]["helm.sh/hook"] == "post-delete"
    for item in (role, binding, rendered.one("ServiceAccount", "ark-broker-restart")):
        assert item["metadata"]["annotations"]["helm.sh/hook"] == "post-install,post-upgrade,post-delete"
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "control"
    assert role["rules"] == [
        {
            "apiGroups": ["apps"],
            "resources": ["deployments"],
            "resourceNames": ["one", "two"],
            "verbs": ["get", "patch"],
        }
    ]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "ark-broker-restart", "namespace": NAMESPACE}]
    arguments = [job["spec"]["template"]["spec"]["containers"][0]["args"][1:] for job in (after, shutdown)]
    assert arguments == [["control", "one,two", "http://ark-broker:80"], ["control", "one,two", ""]]
