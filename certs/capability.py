"""The path at which the API server calls: nobody can guess it, so whoever knows it has read the configuration.

See https://www.w3.org/TR/capability-urls/. It comes from the CA's key, so it needs no place of its own in the Secret,
every replica knows it, and it changes with every rotation.
"""

from __future__ import annotations

import hmac
import re
from urllib.parse import urlsplit, urlunsplit

from certs.authority import Authority

OPEN_PATH = "/mutate"
"""The path that stands in manifests, and that anybody knows."""
_USE = b"graceful-worker: path of reviews"
_TOKEN = re.compile(rf"{OPEN_PATH}/[0-9a-f]{{64}}")
_TAIL = re.compile(rf"{OPEN_PATH}(/[0-9a-f]{{64}})?/?$")


def capability_path(authority: Authority) -> str:
    """Return the path that goes with a CA: as hard to guess as its key.

    The segments of a Service's path have to be lower case: the API server takes what could be the name of a host.
    """
    return f"{OPEN_PATH}/{hmac.digest(authority.key, _USE, 'sha256').hex()}"


def is_capability_path(path: str) -> bool:
    """Tell whether a path looks like that of some CA."""
    return bool(_TOKEN.fullmatch(path))


def path_in(url: str) -> str | None:
    """Return the path of reviews in a URL, behind whatever a proxy cuts off; None where it leads elsewhere."""
    try:
        found = _TAIL.search(urlsplit(url).path)
    except ValueError:
        return None
    return found[0] if found else None


def with_path(url: str, path: str) -> str:
    """Return a URL in which there is a path of reviews with another one."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=_TAIL.sub(path, parts.path)))
