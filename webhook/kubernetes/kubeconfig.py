"""The connection to the API server: from KUBECONFIG like kubectl, or from the pod's service account."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
from httpx2 import AsyncClient, Timeout
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import DEFAULT_KUBECONFIG, KubeConfig, SingleConfig
from lightkube.config.models import NameValue, User
from lightkube.core.exceptions import ConfigError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from webhook.kubernetes.errors import ClusterUnavailable

PLUGINS = "client.authentication.k8s.io"
TIMEOUT = Timeout(30, connect=10)
"""Seconds: a page of pods may take long over a slow connection."""


def read_kubeconfig(context: str | None) -> SingleConfig:
    """Read the cluster and user from the kubeconfig.

    Raises:
        ClusterUnavailable: no file is usable.

    """
    try:
        config = _select_context(context)
    except (ConfigError, OSError, YAMLError, msgspec.ValidationError) as error:
        raise ClusterUnavailable(f"no cluster configured: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ClusterUnavailable(f"no cluster configured: the kubeconfig lacks {error}") from None
    return config._replace(user=_with_v1_plugin(config.user or User()))


def _select_context(context: str | None) -> SingleConfig:
    """Merge the files of KUBECONFIG: the first one that sets a value wins."""
    named = os.environ.get("KUBECONFIG", "")
    paths = [Path(path).expanduser() for path in (named or DEFAULT_KUBECONFIG).split(os.pathsep) if path]
    load = YAML(typ="safe", pure=True).load
    configs = [KubeConfig.from_dict(load(path), fname=path) for path in paths if path.is_file()]
    if not configs and not named and "KUBERNETES_SERVICE_HOST" in os.environ:
        configs = [KubeConfig.from_service_account()]
    if not configs:
        raise ConfigError(f"{' or '.join(map(str, paths))} does not exist; set KUBECONFIG")
    merged = KubeConfig(
        clusters={name: each for config in reversed(configs) for name, each in config.clusters.items()},
        contexts={name: each for config in reversed(configs) for name, each in config.contexts.items()},
        users={name: each for config in reversed(configs) for name, each in config.users.items()},
    )
    name = context or next((config.current_context for config in configs if config.current_context), None)
    chosen = merged.get(name) if name else None
    if chosen is None:
        raise ConfigError("no current context; set --context")
    # Paths in a file are relative to it.
    return chosen._replace(fname=next(each.fname for each in configs if chosen.context.cluster in each.clusters))


def _with_v1_plugin(user: User) -> User:
    """Make lightkube run a v1 credential plugin: it only knows v1beta1, which is equivalent.

    A variable tells plugins the requested version:
    https://kubernetes.io/docs/reference/config-api/client-authentication.v1/
    """
    if user.exec and user.exec.apiVersion == f"{PLUGINS}/v1":
        wanted = {"apiVersion": f"{PLUGINS}/v1", "kind": "ExecCredential", "spec": {"interactive": False}}
        user.exec.env = [*(user.exec.env or ()), NameValue("KUBERNETES_EXEC_INFO", json.dumps(wanted))]
        user.exec.apiVersion = f"{PLUGINS}/v1beta1"
    return user


def connect(config: SingleConfig) -> AsyncClient:
    """Return a client with lightkube's credentials.

    It is the client underneath lightkube's own, whose lists cannot be limited to metadata.

    Raises:
        ClusterUnavailable: the credentials cannot be used.

    """
    try:
        return client_adapter.AsyncClient(config, client_adapter.ConnectionParams(timeout=TIMEOUT))
    except (ConfigError, OSError, ValueError) as error:
        raise ClusterUnavailable(f"the credentials of context {config.context_name} cannot be used: {error}") from None
