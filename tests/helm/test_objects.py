"""What holds for the chart's objects whatever the values are."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import helm_python
import pytest

from ark_broker import doors
from ark_broker.settings import PREFIX, Settings, load_settings, unknown_variables, variable
from tests.helm.cases import CASES, URL
from tests.helm.chart import CHART, KUBERNETES, NAMESPACE, Object, Rendered, complaint, environment, is_hook, render

#: Kinds that are not Kubernetes' own. Other tests look at what is in them.
CUSTOM = {"ServiceMonitor", "Memory"}
#: What the operator's own Secrets might hold.
OPERATORS_SECRETS = {
    "ARK_BROKER_DATABASE_URL": URL,
    "ARK_BROKER_ADMIN_TOKEN": "a-token-of-the-operators-making",
    "ARK_BROKER_UPSTREAMS": "http://tempo:4318",
    "ARK_BROKER_WEBHOOKS": "[]",
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys(), scope="module")
def values(request: pytest.FixtureRequest) -> dict[str, Any]:
    case: dict[str, Any] = request.param
    return case


@pytest.fixture(scope="module")
def rendered(values: dict[str, Any]) -> Rendered:
    return render(values)


def templates(rendered: Rendered) -> list[Object]:
    """Pod templates of all Deployments and Jobs."""
    return [item["spec"]["template"] for item in [*rendered.of("Deployment"), *rendered.of("Job")]]


def matches(selector: Object, labels: Object) -> bool:
    return bool(selector) and selector.items() <= labels.items()


def test_the_linter_finds_nothing(values: dict[str, Any]) -> None:
    report = helm_python.lint(CHART, values, strict=True, namespace=NAMESPACE)

    assert report["errors"] == []
    assert [message["error"] for message in report["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_what_kubernetes_takes(rendered: Rendered, version: str) -> None:
    objects = [item for item in rendered.objects if item["kind"] not in CUSTOM]

    assert [(item["kind"], text) for item in objects if (text := complaint(item, version))] == []


def test_the_schemas_notice_what_kubernetes_would_refuse() -> None:
    service = render().one("Service")
    service["spec"]["ports"][0]["port"] = "eighty"

    assert complaint(service, KUBERNETES[0])
    assert complaint(render().one("Service") | {"unheardOf": 1}, KUBERNETES[0])


def test_no_two_objects_have_one_name(rendered: Rendered) -> None:
    names = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in rendered.objects]

    assert len(names) == len(set(names))


def test_every_object_says_whose_it_is(rendered: Rendered, values: dict[str, Any]) -> None:
    for item in rendered.objects:
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "ark-broker"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert all(isinstance(text, str) for text in item["metadata"].get("annotations", {}).values())
        if values.get("global", {"annotations": True})["annotations"]:
            assert "ark.mckinsey.com/service" in item["metadata"]["annotations"]


def test_selectors_find_the_brokers_pods_and_no_others(rendered: Rendered) -> None:
    broker = rendered.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    others = [job["spec"]["template"]["metadata"]["labels"] for job in rendered.of("Job")]
    selectors = [
        rendered.one("Service")["spec"]["selector"],
        rendered.one("Deployment")["spec"]["selector"]["matchLabels"],
    ]
    selectors += [item["spec"]["selector"]["matchLabels"] for item in rendered.of("PodDisruptionBudget")]
    selectors += [item["spec"]["podSelector"]["matchLabels"] for item in rendered.of("NetworkPolicy")]
    selectors += [
        constraint["labelSelector"]["matchLabels"] for constraint in rendered.pod.get("topologySpreadConstraints", [])
    ]

    assert all(matches(selector, broker) for selector in selectors)
    assert not any(matches(selector, labels) for selector in selectors for labels in others)


def test_selectors_are_those_of_the_old_charts_release(rendered: Rendered) -> None:
    assert rendered.one("Deployment")["spec"]["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "ark-broker",
        "app.kubernetes.io/instance": "ark-broker",
    }


def test_a_service_monitor_selects_the_service(rendered: Rendered) -> None:
    for monitor in rendered.of("ServiceMonitor"):
        assert matches(monitor["spec"]["selector"]["matchLabels"], rendered.one("Service")["metadata"]["labels"])


def test_named_ports_lead_to_ports_of_the_container(rendered: Rendered) -> None:
    names = {port["name"] for port in rendered.broker["ports"]}
    probes = [rendered.broker[f"{probe}Probe"]["httpGet"]["port"] for probe in ("startup", "liveness", "readiness")]
    policies = [port["port"] for item in rendered.of("NetworkPolicy") for port in item["spec"]["ingress"][0]["ports"]]

    assert {port["targetPort"] for port in rendered.one("Service")["spec"]["ports"]} == names
    assert set(probes) == {"http"}
    assert not policies or set(policies) == names


def test_volumes_that_are_mounted_are_there_and_the_others_are_not(rendered: Rendered) -> None:
    for template in templates(rendered):
        spec = template["spec"]
        containers = [*spec["containers"], *spec.get("initContainers", [])]
        mounts = {mount["name"] for container in containers for mount in container.get("volumeMounts", [])}
        assert mounts == {volume["name"] for volume in spec.get("volumes", [])}
        for container in containers:
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            assert len(paths) == len(set(paths))


def test_what_the_release_refers_to_is_in_it_or_is_the_operators(rendered: Rendered, values: dict[str, Any]) -> None:
    made = {(item["kind"], item["metadata"]["name"]) for item in rendered.objects if not is_hook(item)}
    given = str(values)
    for volume in rendered.pod["volumes"]:
        for kind, key, name in (
            ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName"),
            ("Secret", "secret", "secretName"),
            ("ConfigMap", "configMap", "name"),
        ):
            if key in volume:
                assert (kind, volume[key][name]) in made or repr(volume[key][name]) in given
    for item in rendered.of("ServiceMonitor"):
        for reference in (item["spec"]["endpoints"][0].get("authorization", {}).get("credentials"),):
            assert reference is None or repr(reference["name"]) in given
    for value in rendered.env.values():
        if isinstance(value, dict) and "secretKeyRef" in value:
            assert ("Secret", value["secretKeyRef"]["name"]) in made or repr(value["secretKeyRef"]["name"]) in given
    account = rendered.pod["serviceAccountName"]
    assert ("ServiceAccount", account) in made or account == "default" or repr(account) in given


def test_hooks_refer_only_to_what_is_there_when_they_run(rendered: Rendered, values: dict[str, Any]) -> None:
    hooks = {
        (item["kind"], item["metadata"]["name"]): int(item["metadata"]["annotations"]["helm.sh/hook-weight"])
        for item in rendered.objects
        if is_hook(item)
    }
    for job in rendered.of("Job"):
        weight = int(job["metadata"]["annotations"]["helm.sh/hook-weight"])
        spec = job["spec"]["template"]["spec"]
        references = [("ServiceAccount", spec["serviceAccountName"])]
        sources = [entry.get("valueFrom", {}) for entry in spec["containers"][0].get("env", [])]
        references += [("Secret", source["secretKeyRef"]["name"]) for source in sources if "secretKeyRef" in source]
        for reference in references:
            is_operators = reference[1] == "default" or repr(reference[1]) in str(values)
            assert is_operators or hooks[reference] < weight


def test_hooks_leave_nothing_behind(rendered: Rendered) -> None:
    for item in filter(is_hook, rendered.objects):
        annotations = item["metadata"]["annotations"]
        assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"


def test_the_environment_is_one_that_the_broker_starts_with(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secrets = {item["metadata"]["name"]: secret_texts(item) for item in rendered.of("Secret")}
    names = {name for name in rendered.env if name.startswith(PREFIX)}
    assert names <= {variable(field) for field in Settings.model_fields}

    for name, value in rendered.env.items():
        reference = value.get("secretKeyRef", {}) if isinstance(value, dict) else {}
        operators = OPERATORS_SECRETS.get(name)
        text = secrets.get(reference.get("name", ""), {}).get(reference.get("key"), operators) if reference else value
        if isinstance(text, str):
            monkeypatch.setenv(name, text)
    if "ARK_BROKER_REDACT" in rendered.env:
        monkeypatch.setenv("ARK_BROKER_REDACT", mounted(rendered, rendered.env["ARK_BROKER_REDACT"], tmp_path))

    settings = load_settings()
    assert unknown_variables() == []
    doors.check(settings)
    assert (settings.sqlite_path is None) == ("ARK_BROKER_DATABASE_URL" in rendered.env)
    ports = {port["name"]: port["containerPort"] for port in rendered.broker["ports"]}
    assert ports == {"http": settings.port} | ({"otlp-grpc": settings.grpc_port} if settings.grpc_port else {})


def secret_texts(secret: Object) -> dict[str, str]:
    """What is in a Secret, decoded."""
    decoded = {key: base64.b64decode(text).decode() for key, text in secret.get("data", {}).items()}
    return decoded | secret.get("stringData", {})


def mounted(rendered: Rendered, path: str, directory: Path) -> str:
    """A file of a ConfigMap that is mounted, as a file in `directory`; or the text itself, where it is no path."""
    folder, _, name = path.rpartition("/")
    volumes = [mount["name"] for mount in rendered.broker["volumeMounts"] if mount["mountPath"] == folder]
    for volume in rendered.pod["volumes"]:
        if volume["name"] in volumes:
            (directory / name).write_text(rendered.one("ConfigMap", volume["configMap"]["name"])["data"][name])
            return str(directory / name)
    return path


@pytest.mark.parametrize("name", [name for name, values in CASES.items() if "podSecurityContext" not in values])
def test_pods_are_locked_down_where_the_operator_says_nothing_else(name: str) -> None:
    for template in templates(render(CASES[name])):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


def test_only_what_asks_the_api_server_gets_a_token(rendered: Rendered) -> None:
    for template in templates(rendered):
        is_restart = template["metadata"]["labels"]["app.kubernetes.io/name"] == "ark-broker-restart"
        assert template["spec"]["automountServiceAccountToken"] is is_restart
        tokens = [
            volume["name"]
            for volume in template["spec"].get("volumes", [])
            for source in volume.get("projected", {}).get("sources", [])
            if "serviceAccountToken" in source
        ]
        is_broker = template["metadata"]["labels"]["app.kubernetes.io/name"] == "ark-broker"
        assert bool(tokens) is (is_broker and bool(rendered.of("ClusterRoleBinding")))
        for container in template["spec"].get("initContainers", []):
            assert not {mount["name"] for mount in container["volumeMounts"]} & set(tokens)
    assert all(account["automountServiceAccountToken"] is False for account in rendered.of("ServiceAccount"))


def test_no_secret_is_in_plain_sight(rendered: Rendered) -> None:
    plain = json.dumps([item for item in rendered.objects if item["kind"] != "Secret"]) + rendered.notes

    assert not re.search(r"[A-Z0-9]+-SECRET|:secret@|whsec_", plain)
    for secret in rendered.of("Secret"):
        assert not any(text in plain for text in secret_texts(secret).values())


def test_kubernetes_adds_no_variables_that_look_like_settings(rendered: Rendered) -> None:
    assert all(template["spec"]["enableServiceLinks"] is False for template in templates(rendered))


def test_all_containers_run_the_brokers_image(rendered: Rendered) -> None:
    images = set()
    for template in templates(rendered):
        spec = template["spec"]
        images |= {container["image"] for container in [*spec["containers"], *spec.get("initContainers", [])]}

    assert images == {rendered.broker["image"]}


def test_the_pod_has_more_time_to_end_than_the_broker_takes(rendered: Rendered) -> None:
    shutdown = float(rendered.env.get("ARK_BROKER_SHUTDOWN_SECONDS", Settings().shutdown_seconds))

    assert rendered.pod["terminationGracePeriodSeconds"] > shutdown + 5 * ("lifecycle" in rendered.broker)


def test_only_postgresql_is_migrated_and_only_sqlite_has_a_volume(rendered: Rendered) -> None:
    is_postgres = "ARK_BROKER_DATABASE_URL" in rendered.env
    migrations = [container for container in rendered.pod.get("initContainers", []) if container["name"] == "migrate"]
    migrations += [
        job["spec"]["template"]["spec"]["containers"][0]
        for job in rendered.of("Job")
        if job["metadata"]["name"] == "ark-broker-migrate"
    ]
    (data,) = (volume for volume in rendered.pod["volumes"] if volume["name"] == "data")

    assert len(migrations) <= int(is_postgres)
    assert all("ARK_BROKER_DATABASE_URL" in environment(container) for container in migrations)
    if is_postgres:
        assert data["emptyDir"] == {}
        assert rendered.of("PersistentVolumeClaim") == []
    else:
        assert rendered.one("Deployment")["spec"]["strategy"] == {"type": "Recreate"}
        assert rendered.one("Deployment")["spec"]["replicas"] == 1
