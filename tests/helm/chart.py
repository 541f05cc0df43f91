"""The chart as Helm renders it, for tests."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import helm_python
import kubernetes_validate
import yaml

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "helm" / "ark-broker"
NAMESPACE: Final = "team-a"
#: The oldest Kubernetes that the chart allows, and the newest whose schemas are known.
KUBERNETES: Final = ("1.25", "1.37")

Object = dict[str, Any]


@dataclass(frozen=True)
class Rendered:
    """What an install would create, and what it would say."""

    objects: list[Object]
    notes: str

    def of(self, kind: str) -> list[Object]:
        """All objects of a kind."""
        return [item for item in self.objects if item["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> Object:
        """The only object of a kind, or the only one of that name."""
        (item,) = (item for item in self.of(kind) if name in {None, item["metadata"]["name"]})
        return item

    @property
    def pod(self) -> Object:
        """Specification of the broker's pod."""
        spec: Object = self.one("Deployment")["spec"]["template"]["spec"]
        return spec

    @property
    def broker(self) -> Object:
        """The broker's container."""
        (container,) = self.pod["containers"]
        found: Object = container
        return found

    @property
    def env(self) -> dict[str, Any]:
        """The broker's environment: variable → text, or where it comes from."""
        return environment(self.broker)


def environment(container: Object) -> dict[str, Any]:
    """A container's environment: variable → text, or where it comes from."""
    names = [entry["name"] for entry in container["env"]]
    assert len(names) == len(set(names)), names
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


def render(values: Mapping[str, Any] | None = None, *, name: str = "ark-broker", **options: Any) -> Rendered:
    """What `helm install` makes of `values`. Raises HelmError where it would refuse them."""
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(dict(values or {}))
        files = chart.render(dict(values or {}), name=name, namespace=NAMESPACE, **options)
    notes = "".join(files.pop(path) for path in list(files) if path.endswith("NOTES.txt"))
    objects = [item for text in files.values() for item in yaml.safe_load_all(text) if item]
    return Rendered(objects, notes)


def is_hook(item: Object) -> bool:
    """Whether Helm runs it at a moment of its own, instead of keeping it in the release."""
    return "helm.sh/hook" in item["metadata"].get("annotations", {})


def complaint(item: Object, version: str) -> str | None:
    """What the schemas of Kubernetes say against an object; None where nothing."""
    return _complaint(json.dumps(item, sort_keys=True), version)


@functools.cache
def _complaint(item: str, version: str) -> str | None:
    try:
        kubernetes_validate.validate(json.loads(item), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    return None
