"""What the chart finds in the cluster, asked from a server that answers as Kubernetes' does."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import helm_python
import pytest
import yaml

from tests.helm.chart import CHART, NAMESPACE, Object

ARK: Final = "ark.mckinsey.com/v1alpha1"
RESOURCES: Final = {
    "v1": ("Service", "ConfigMap", "Secret", "ServiceAccount", "PersistentVolumeClaim"),
    "apps/v1": ("Deployment",),
    "batch/v1": ("Job",),
    "rbac.authorization.k8s.io/v1": ("Role", "RoleBinding"),
    ARK: ("Memory",),
}


def plural(kind: str) -> str:
    return "memories" if kind == "Memory" else f"{kind.lower()}s"


@dataclass
class Cluster:
    """A cluster that has Ark's custom resources, and the objects named here: path → object."""

    url: str = ""
    objects: dict[str, Object] = field(default_factory=dict)

    def add(self, api: str, kind: str, namespace: str, name: str, release: str = "", manager: str = "Helm") -> None:
        """Put an object of some release there, and the list that it is in."""
        group = f"/apis/{api}/namespaces/{namespace}/{plural(kind)}"
        owner = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}
        labels = {"app.kubernetes.io/managed-by": manager}
        metadata = {"name": name, "namespace": namespace, "annotations": owner, "labels": labels}
        item = {"apiVersion": api, "kind": kind, "metadata": metadata}
        self.objects[f"{group}/{name}"] = item
        self.objects.setdefault(group, {"apiVersion": api, "kind": f"{kind}List", "metadata": {}, "items": []})
        self.objects[group]["items"].append(item)

    def answer(self, path: str) -> Object | None:
        """What a GET of `path` gives; None for not found."""
        if path == "/version":
            return {"major": "1", "minor": "31", "gitVersion": "v1.31.0"}
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            return {
                "kind": "APIGroupList",
                "apiVersion": "v1",
                "groups": [_group(api) for api in RESOURCES if "/" in api],
            }
        for api, kinds in RESOURCES.items():
            if path in {f"/api/{api}", f"/apis/{api}"}:
                return {
                    "kind": "APIResourceList",
                    "groupVersion": api,
                    "resources": [_resource(kind) for kind in kinds],
                }
        if path.endswith("/deployments"):
            empty = {"apiVersion": "apps/v1", "kind": "DeploymentList", "metadata": {}, "items": []}
            return self.objects.get(path, empty)
        return self.objects.get(path)


def _group(api: str) -> Object:
    version = {"groupVersion": api, "version": api.partition("/")[2]}
    return {"name": api.partition("/")[0], "versions": [version], "preferredVersion": version}


def _resource(kind: str) -> Object:
    return {"name": plural(kind), "singularName": "", "kind": kind, "namespaced": True, "verbs": ["get", "list"]}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    state = Cluster()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            # An empty description, as protobuf: whoever validates by it finds nothing to say.
            described = path == "/openapi/v2"
            answer = state.answer(path)
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            body = b"" if described else json.dumps(answer or status).encode()
            self.send_response(200 if answer or described else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        server.shutdown()
        thread.join()


@contextmanager
def connection(cluster: Cluster) -> Iterator[helm_python.Config]:
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "users": [{"name": "test", "user": {}}],
        "clusters": [{"name": "test", "cluster": {"server": cluster.url}}],
    }
    with helm_python.Config(
        kubeconfig_content=json.dumps(kubeconfig), namespace=NAMESPACE, storage_driver="memory"
    ) as config:
        yield config


def render(cluster: Cluster, *, name: str = "ark-broker", **options: Any) -> tuple[set[str], str]:
    """Kinds of the objects that Helm would make in this cluster, and the notes."""
    with connection(cluster) as config, helm_python.Chart.load(CHART) as chart:
        files = config.render(chart, {}, name=name, namespace=NAMESPACE, **options)
    notes = "".join(files.pop(path) for path in list(files) if path.endswith("NOTES.txt"))
    return {item["kind"] for text in files.values() for item in yaml.safe_load_all(text) if item}, notes


def test_controllers_that_are_there_are_restarted(cluster: Cluster) -> None:
    cluster.add("apps/v1", "Deployment", "ark-system", "ark-controller")

    kinds, notes = render(cluster)

    assert {"Job", "Role", "RoleBinding"} <= kinds
    assert "no controller was restarted" not in notes


def test_a_namespace_without_controllers_does_not_fail_the_release(cluster: Cluster) -> None:
    kinds, notes = render(cluster)

    assert not {"Job", "Role", "RoleBinding"} & kinds
    assert "No Deployment is in ark-system: no controller was restarted." in notes


def test_a_release_whose_objects_have_another_name_is_not_renamed(cluster: Cluster) -> None:
    cluster.add("apps/v1", "Deployment", NAMESPACE, "team-ark-broker")

    with pytest.raises(helm_python.HelmRenderError, match="set fullnameOverride to team-ark-broker"):
        render(cluster, name="team", is_upgrade=True, is_install=False)

    render(cluster, name="team")
    cluster.add("apps/v1", "Deployment", NAMESPACE, "ark-broker")
    render(cluster, name="team", is_upgrade=True, is_install=False)


@pytest.mark.parametrize(
    ("release", "manager", "is_made"),
    [("ark-broker", "Helm", True), ("another", "Helm", False), ("ark-broker", "kubectl", False)],
)
def test_a_memory_that_is_not_this_releases_is_left_as_it_is(
    cluster: Cluster, release: str, manager: str, is_made: bool
) -> None:
    cluster.add(ARK, "Memory", NAMESPACE, "default", release, manager)

    # What APIs a cluster has is asked only by an install; and Helm refuses to take over what is not its own.
    with connection(cluster) as config:
        installed = config.install(CHART, "ark-broker", {}, dry_run="server")

    kinds = {item["kind"] for item in yaml.safe_load_all(installed["manifest"])}
    assert ("Memory" in kinds) is is_made


def test_a_token_that_was_made_up_stays_over_upgrades(cluster: Cluster) -> None:
    kept = base64.b64encode(b"made up by an earlier install").decode()
    cluster.objects[f"/api/v1/namespaces/{NAMESPACE}/secrets/ark-broker-admin-token"] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "ark-broker-admin-token", "namespace": NAMESPACE},
        "data": {"admin-token": kept},
    }

    assert made_up_token(cluster, {}) == kept
    assert made_up_token(cluster, {"adminToken": {"key": "another"}}) != kept


def made_up_token(cluster: Cluster, auth: dict[str, Any]) -> str:
    """What an upgrade writes into the Secret with the first token."""
    values = {"auth": {"enabled": True} | auth}
    with connection(cluster) as config, helm_python.Chart.load(CHART) as chart:
        files = config.render(
            chart, values, name="ark-broker", namespace=NAMESPACE, is_upgrade=True, is_install=False, revision=2
        )
    (secret,) = (
        item
        for path, text in files.items()
        for item in yaml.safe_load_all("" if path.endswith("NOTES.txt") else text)
        if item and item["kind"] == "Secret"
    )
    (token,) = secret["data"].values()
    return str(token)
