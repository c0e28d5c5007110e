"""The secret path that the API server calls: a caller who knows it has read the configuration.

See https://www.w3.org/TR/capability-urls/. The path is derived from the CA's key, so it needs no extra field in the
Secret, every replica knows it, and it changes with each rotation.
"""

from __future__ import annotations

import hmac
import re
from urllib.parse import urlsplit, urlunsplit

from certs.authority import Authority

PUBLIC_PATH = "/mutate"
"""The public path, as in the manifests."""
_USE = b"graceful-worker: path of reviews"
_TOKEN = re.compile(rf"{PUBLIC_PATH}/[0-9a-f]{{64}}")
_TAIL = re.compile(rf"{PUBLIC_PATH}(/[0-9a-f]{{64}})?/?$")


def secret_path(authority: Authority) -> str:
    """Return the path for a CA; it is as hard to guess as the CA's key.

    Path segments of a Service must be lower case: the API server only accepts what could be a host name.
    """
    return f"{PUBLIC_PATH}/{hmac.digest(authority.key, _USE, 'sha256').hex()}"


def is_secret_path(path: str) -> bool:
    """Tell whether a path has the form of a secret path."""
    return bool(_TOKEN.fullmatch(path))


def find_review_path(url: str) -> str | None:
    """Return the review path at the end of a URL, whatever prefix a proxy strips; None if there is none."""
    try:
        found = _TAIL.search(urlsplit(url).path)
    except ValueError:
        return None
    return found[0] if found else None


def replace_review_path(url: str, path: str) -> str:
    """Replace the review path in a URL."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=_TAIL.sub(path, parts.path)))
