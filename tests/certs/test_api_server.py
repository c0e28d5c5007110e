"""The connection to the API server: what its errors say, and what they do not."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from certs.api_server import connect
from certs.errors import ApiServerUnavailable, describe_error


@pytest.mark.parametrize("token", ["secret-token\n", "secret-token ", "secret\ntoken", "secret-t\u00f6ken"])
def test_a_token_that_no_header_can_carry_is_in_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, token: str
) -> None:
    """A block in YAML ends with a line break, and the HTTP client quotes the header that it cannot send."""

    async def request() -> None:
        # The client connects before it looks at the header.
        async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig_of(f"http://127.0.0.1:{port}", token)))
            await connect().request("GET", "/api", "Namespace")

    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
        asyncio.run(request())
    assert isinstance(caught.value, ApiServerUnavailable | UnicodeError)
    assert "secret" not in describe_error(caught.value)


def kubeconfig_of(server: str, token: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "c", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
