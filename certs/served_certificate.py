"""The certificate that a running server presents to new connections, and its replacement."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from contextlib import suppress

from cryptography import x509

from certs.certificate import Leaf, write_bundle
from certs.errors import Unusable

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME: OpenSSL uses the local clock, which may be wrong.
https://docs.openssl.org/3.0/man3/X509_VERIFY_PARAM_set_flags/"""


class ServedCertificate:
    """An SSL context for a server whose certificate can be replaced.

    A new pair is loaded into its own context and tested before it replaces the old one. Loading it into the context in
    use would break that if key and certificate do not match, and keep the old certificate as well if the key types
    differ.
    """

    def __init__(self, leaf: Leaf, clients: bytes = b"") -> None:
        """Take the client CAs (PEM): if there are any, clients may present a certificate."""
        self.leaf = leaf
        self.clients = clients
        self._fresh = _context(leaf, clients)
        self.context = _context(leaf, clients)
        # OpenSSL calls this before it chooses the certificate, even if the client sends no server name.
        self.context.sni_callback = self._choose

    def exchange(
        self, leaf: Leaf, bundle: Sequence[x509.Certificate] = (), host: str = "", clients: bytes = b""
    ) -> None:
        """Serve another certificate, and accept other client CAs, from the next connection on.

        If a bundle is given, first try a handshake with a client that trusts the bundle and expects the host.

        Raises:
            Unusable: it cannot be served; the old one stays in use.

        """
        fresh = _context(leaf, clients)
        if bundle:
            _try(fresh, bundle, host)
        self._fresh, self.leaf, self.clients = fresh, leaf, clients

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = self._fresh


def _context(leaf: Leaf, clients: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if clients:
        try:
            context.load_verify_locations(cadata=clients.decode())
        except (ssl.SSLError, ValueError) as error:
            raise Unusable(f"the client CA cannot be used: {error}") from None
        # Clients without a certificate, such as kubelet probes, are served, too.
        context.verify_mode = ssl.CERT_OPTIONAL
    # OpenSSL reads pairs only from files. These are in memory, so a read-only root file system is enough.
    certificate, key = (_in_memory(name, pem) for name, pem in (("crt", leaf.certificate), ("key", leaf.key)))
    try:
        context.load_cert_chain(f"/proc/self/fd/{certificate}", f"/proc/self/fd/{key}", password=_no_password)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise Unusable(f"certificate and key cannot be used: {error}") from None
    finally:
        os.close(certificate)
        os.close(key)
    return context


def _no_password() -> str:
    raise Unusable("the key is encrypted; provide it without a password")


def _in_memory(name: str, content: bytes) -> int:
    descriptor = os.memfd_create(name)
    os.write(descriptor, content)
    return descriptor


def _try(context: ssl.SSLContext, bundle: Sequence[x509.Certificate], host: str) -> None:
    """Run a handshake between a client and a server in memory; the caller checks that the certificate is valid now."""
    trust = ssl.create_default_context(cadata=write_bundle(bundle).decode())
    trust.verify_flags |= _NO_CHECK_TIME
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.wrap_bio(to_client, to_server, server_hostname=host)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    try:
        for side in (client, server, client, server):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    except ssl.SSLError as error:
        raise Unusable(f"a client that trusts the bundle rejects the certificate: {error}") from None
