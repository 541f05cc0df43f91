"""Sets of values that an operator would install with."""

from __future__ import annotations

from typing import Any, Final

import yaml

from tests.helm.chart import ROOT

URL: Final = "postgresql://broker:secret@db.data.svc:5432/ark"
OLD_VALUES: Final[dict[str, Any]] = yaml.safe_load((ROOT / "tests" / "helm" / "old_values.yaml").read_text())

EVERYTHING: Final[dict[str, Any]] = {
    "image": {"repository": "example/ark-broker", "digest": f"sha256:{'0' * 64}", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "pull"}],
    "global": {"annotations": {"team": "agents"}},
    "autoscaling": {
        "enabled": True,
        "minReplicas": 3,
        "maxReplicas": 9,
        "targetMemoryUtilizationPercentage": 80,
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 600}},
    },
    "podDisruptionBudget": {"enabled": True, "minAvailable": "50%"},
    "database": {
        "urlSecretRef": {"name": "pg", "key": "uri"},
        "migrateUrlSecretRef": {"name": "pg-owner", "key": "uri"},
        "tls": {"enabled": True, "secretName": "pg-ca"},
        "poolMax": 30,
    },
    "settings": {
        "retention": "span=30d,chunk=12h",
        "maxBodyBytes": "128MiB",
        "queueBytes": 268435456,
        "maxLinks": 12_000_000,
        "heartbeatSeconds": 7.5,
        "workers": 2,
        "logLevel": "debug",
        "arkCompat": "a",
        "allowPurge": False,
        "shutdownSeconds": 30,
    },
    "prices": {"models": {"my-model": {"input": 0.15, "output": 0.6}}},
    "service": {"type": "LoadBalancer", "port": 8081, "annotations": {"internal": True}},
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "annotations": {"nginx.ingress.kubernetes.io/proxy-read-timeout": "60", "cert": "yes"},
        "hosts": [
            {"host": "a.example", "paths": [{"path": "/", "pathType": "Prefix"}]},
            {"host": "b.example"},
        ],
        "tls": [{"hosts": ["a.example"], "secretName": "broker-tls"}],
    },
    "networkPolicy": {
        "enabled": True,
        "allowNamespaces": ["ark-system"],
        "extraFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
    },
    "prometheus": {"enable": True, "interval": "15s", "labels": {"release": "prometheus"}},
    "serviceAccount": {"annotations": {"role": "broker"}},
    "podAnnotations": {"mesh": "true"},
    "podLabels": {"team": "agents", "app.kubernetes.io/name": "something-else"},
    "terminationGracePeriodSeconds": 90,
    "extraEnv": [
        {"name": "TZ", "value": "UTC"},
        {"name": "ZONE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
    ],
    "extraEnvFrom": [{"configMapRef": {"name": "more"}}],
    "extraVolumes": [{"name": "more", "configMap": {"name": "more"}}],
    "extraVolumeMounts": [{"name": "more", "mountPath": "/etc/more"}],
    "priorityClassName": "high",
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "agents", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
}

#: Everything about access, redaction and delivery, given in the values themselves.
GUARDED: Final[dict[str, Any]] = {
    "auth": {
        "enabled": True,
        "oidc": {
            "issuer": "https://login.example",
            "audience": "ark-broker",
            "jwksUrl": "https://login.example/keys",
            "claims": {
                "permissionsClaim": "groups",
                "values": {"ark-admins": ["admin"], "ark-users": ["read", "answer"]},
                "namespacesClaim": "team",
                "namespaceValues": {"everybody": "*", "a": ["team-a"]},
                "namespacesAbsent": "none",
                "nameClaim": "email",
            },
        },
        "kubernetes": {
            "permissions": ["ingest"],
            "accounts": {"ark-system/ark-controller": {"permissions": ["ingest", "read"], "namespaces": ["*"]}},
            "audience": "ark-broker",
        },
    },
    "redact": {
        "attributes": ["user.email", "*.ssn"],
        "patterns": [{"name": "order-number", "regex": "ORD-[0-9]{8}"}],
        "keep": ["app.public_access_token"],
        "bundled": True,
        "replacement": "[redacted:{rule}]",
    },
    "upstreams": {"value": "langfuse://public:UPSTREAM-SECRET@langfuse.data.svc http://tempo:4318"},
    "webhooks": {
        "value": [
            {
                "name": "waiting",
                "url": "https://hooks.example/HOOK-SECRET",
                "secret": f"whsec_{'c2Vj' * 8}",
                "when": {"types": ["question.asked"], "olderThanSeconds": 600},
            }
        ]
    },
    "deliverTo": ["10.0.0.0/8", "*.data.svc"],
    "publicUrl": "https://ark.example",
    "prometheus": {"enable": True, "bearerToken": {"existingSecret": "prometheus-token", "key": "bearer"}},
    "settings": {"a2aToken": "A2A-SECRET", "corsOrigins": "https://ark.example"},
}

#: The same from the operator's Secrets.
GUARDED_BY_SECRETS: Final[dict[str, Any]] = {
    "auth": {
        "enabled": True,
        "adminToken": {"existingSecret": "broker-admin", "key": "value"},
        "kubernetes": {"permissions": ["ingest", "read"]},
    },
    "redact": "bundled",
    "upstreams": {"existingSecret": "broker-upstreams"},
    "webhooks": {"existingSecret": "broker-webhooks", "key": "rules"},
    "serviceAccount": {"create": False, "name": "mine"},
    "database": {"url": URL},
}

NOTHING: Final[dict[str, Any]] = {
    "ark": {"enabled": False},
    "grpc": {"enabled": False},
    "persistence": {"enabled": False},
    "serviceAccount": {"create": False},
    "global": {"annotations": None},
    "resources": None,
    "podSecurityContext": None,
    "securityContext": None,
    "preStopSeconds": 0,
    "settings": {"host": None},
}

CASES: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "sqlite on a claim of one's own": {"persistence": {"existingClaim": "mine", "storageClass": "-"}},
    "sqlite on no volume": {"persistence": {"enabled": False}},
    "sqlite on a class": {"persistence": {"storageClass": "fast", "size": "100Gi", "keep": False}},
    "postgresql by url": {"database": {"url": URL}, "replicaCount": 3},
    "postgresql by secret": {"database": {"urlSecretRef": {"name": "pg"}}},
    "postgresql migrated by a job": {"database": {"url": URL, "migrateUrl": URL}, "migrate": {"mode": "job"}},
    "postgresql by secret, migrated by a job": {
        "database": {"urlSecretRef": {"name": "pg"}, "tls": {"enabled": True, "secretName": "ca"}},
        "migrate": {"mode": "job"},
        "serviceAccount": {"create": False, "name": "mine"},
    },
    "postgresql migrated by nobody": {"database": {"url": URL}, "migrate": {"mode": "none"}},
    "everything on": EVERYTHING,
    "everything off": NOTHING,
    "guarded": GUARDED,
    "guarded by secrets": GUARDED_BY_SECRETS,
    "old values": OLD_VALUES,
}
