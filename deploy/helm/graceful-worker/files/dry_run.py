"""Creates a labelled pod by dry run, and looks for what the webhook adds to it: `helm test` runs this.

It goes the whole way: the API server calls the webhook through the Service, and verifies its certificate.
"""

import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path(os.environ.get("ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
STATUS = "graceful-worker/status"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"generateName": "graceful-worker-test-", "labels": {"graceful-worker": "enabled"}},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "worker",
                "image": "graceful-worker-test",
                "command": ["celery", "worker"],
                "resources": {
                    "requests": {"cpu": "10m", "memory": "16Mi"},
                    "limits": {"cpu": "10m", "memory": "16Mi"},
                },
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    },
}


def create(namespace: str) -> dict:
    """Create the pod by dry run, and return it as the API server would store it."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    address = f"[{host}]" if ":" in host else host
    url = f"https://{address}:{port}/api/v1/namespaces/{namespace}/pods?dryRun=All"
    token = (ACCOUNT / "token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(POD).encode(), headers)
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=30, context=context) as answer:  # noqa: S310
        return json.load(answer)


def main(namespace: str) -> str:
    """Say what is wrong; empty where nothing is."""
    try:
        pod = create(namespace)
    except urllib.error.HTTPError as error:
        try:
            message = json.load(error)["message"]
        except (ValueError, KeyError):
            message = str(error)
        return f"the API server refuses the pod: {message}"
    except OSError as error:
        return f"the API server does not answer: {error}"
    status = pod["metadata"].get("annotations", {}).get(STATUS)
    if status is None:
        return (
            f"the pod has no annotation {STATUS}: the webhook was not called. "
            "Is the MutatingWebhookConfiguration graceful-worker there?"
        )
    print(f"The pod would be protected. {STATUS}: {status}")
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) or 0)
