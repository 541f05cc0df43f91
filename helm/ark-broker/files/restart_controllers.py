"""Restarts Ark's controllers, so that they find the broker; runs in the hook's pod, in the broker's own image.

Arguments: namespace of the controllers, names of their Deployments separated by commas, and the address of the broker
to wait for, if any. Ends with 1 where the API server refuses, so that the Job tries again; a Deployment that does not
exist is no reason to.
"""

import datetime
import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
Open = Callable[[urllib.request.Request], int]


def wait_for_broker(url: str, seconds: float) -> bool:
    """Whether the broker at `url` is ready, or becomes so in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=3):  # noqa: S310 - a Service of the chart
                return True
        except OSError:
            if time.monotonic() > deadline:
                return False
            time.sleep(1)


def restart(api: str, namespace: str, name: str, send: Open) -> str:
    """Restart one Deployment as `kubectl rollout restart` does. Raises HTTPError where that is refused."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    annotations = {"kubectl.kubernetes.io/restartedAt": now}
    request = urllib.request.Request(  # noqa: S310 - the API server
        f"{api}/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
        method="PATCH",
        data=json.dumps({"spec": {"template": {"metadata": {"annotations": annotations}}}}).encode(),
        headers={"Content-Type": "application/merge-patch+json"},
    )
    try:
        send(request)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return "not there"
        raise
    return "restarted"


def sender(token: str, context: ssl.SSLContext | None) -> Open:
    """What sends requests to the API server in the name of the service account."""

    def send(request: urllib.request.Request) -> int:
        request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:  # noqa: S310 - the same
            return int(answer.status)

    return send


def main(namespace: str, names: str, broker: str = "") -> int:
    """Wait for the broker, then restart each controller that exists."""
    if broker and not wait_for_broker(broker, seconds=120):
        print(f"{broker} is not ready yet; the controllers are restarted all the same")
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    host = f"[{host}]" if ":" in host else host
    api = f"https://{host}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    send = sender((ACCOUNT / "token").read_text().strip(), context)
    failed = False
    for name in names.split(","):
        try:
            print(f"{namespace}/{name}: {restart(api, namespace, name, send)}")
        except OSError as error:
            failed = True
            print(f"{namespace}/{name}: {error}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
