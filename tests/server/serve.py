"""Serves as `graceful-worker serve` does, with options that the command line does not have.

Its argument is a JSON object of ServerOptions, in which `limits` are Limits. With `defect`, the core fails on every
pod, with an exception that quotes the pod. With `care`, the management of the certificate stops at once: it fails, or
returns.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

from certs.files import FileCertificate
from webhook.core.policy import Policy
from webhook.server import admission_review
from webhook.server.https_server import serve
from webhook.server.options import Files, Limits, ServerOptions


def fail(pod: Any, *_: object) -> NoReturn:
    raise ValueError(f"cannot cope with {pod!r}")


async def fail_to_care(*_: object) -> None:
    raise LookupError("words-that-nobody-may-log")


async def no_care(*_: object) -> None:
    return


def main() -> None:
    options = json.loads(sys.argv[1])
    if options.pop("defect", False):
        admission_review.inject_pod = fail  # type: ignore[assignment, attr-defined]
    if "care" in options:
        care = {"fails": fail_to_care, "returns": no_care}[options.pop("care")]
        FileCertificate.run = care  # type: ignore[assignment, method-assign]
    limits = Limits(**options.pop("limits", {}))
    tls = Files(Path(options.pop("tls_cert")), Path(options.pop("tls_key")))
    serve(Policy(), ServerOptions(limits=limits, tls=tls, **options))


main()
