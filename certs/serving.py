"""The certificate that a running server shows to new connections, and its exchange for another one."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence

from cryptography import x509

from certs.authority import Leaf, Unusable, write_bundle

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME: OpenSSL asks the own clock, which may be wrong. https://docs.openssl.org/3.0/man3/X509_VERIFY_PARAM_set_flags/"""


class ServedCertificate:
    """A context for a server to listen with, whose certificate can be exchanged.

    A new pair is loaded into a context of its own, and tried, before it is put in the old one's place. Loading it into
    the context in use would leave that broken where key and certificate do not match, and keep the old certificate
    beside the new one where their keys are of different types.
    """

    def __init__(self, leaf: Leaf, clients: bytes = b"") -> None:
        """Take the CAs, PEM, that sign clients' certificates: where there are any, clients may show one."""
        self.leaf = leaf
        self.clients = clients
        self._fresh = _context(leaf, clients)
        self.context = _context(leaf, clients)
        # OpenSSL asks before it chooses the certificate, also where the client names no server.
        self.context.sni_callback = self._choose

    def exchange(
        self, leaf: Leaf, bundle: Sequence[x509.Certificate] = (), host: str = "", clients: bytes = b""
    ) -> None:
        """Serve another certificate, and ask for clients' of other CAs, from the next connection on.

        Where a bundle is given, a handshake is tried first, by a client that trusts the bundle and wants the host.

        Raises:
            Unusable: it cannot be served; the old one still is.

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
        _ask_for_certificate(context, clients)
    # OpenSSL reads pairs from files only; these are in memory, so a read-only root file system will do.
    certificate, key = (_in_memory(name, pem) for name, pem in (("crt", leaf.certificate), ("key", leaf.key)))
    try:
        context.load_cert_chain(f"/proc/self/fd/{certificate}", f"/proc/self/fd/{key}", password=_no_password)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise Unusable(f"certificate and key cannot be used: {error}") from None
    finally:
        os.close(certificate)
        os.close(key)
    return context


def _ask_for_certificate(context: ssl.SSLContext, clients: bytes) -> None:
    """Let clients show a certificate of these CAs; who has none, as the kubelet's probes, is served, too."""
    try:
        context.load_verify_locations(cadata=clients.decode())
    except (ssl.SSLError, ValueError) as error:
        raise Unusable(f"the CA of the clients' certificates cannot be used: {error}") from None
    context.verify_mode = ssl.CERT_OPTIONAL


def _no_password() -> str:
    raise Unusable("the key is encrypted; write it without a password")


def _in_memory(name: str, content: bytes) -> int:
    descriptor = os.memfd_create(name)
    os.write(descriptor, content)
    return descriptor


def _try(context: ssl.SSLContext, bundle: Sequence[x509.Certificate], host: str) -> None:
    """Let a client and a server shake hands in memory; whoever asks sees to it that the certificate is valid now."""
    trust = ssl.create_default_context(cadata=write_bundle(bundle).decode())
    trust.verify_flags |= _NO_CHECK_TIME
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.wrap_bio(to_client, to_server, server_hostname=host)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    try:
        for side in (client, server, client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    except ssl.SSLError as error:
        raise Unusable(f"a client that trusts the bundle refuses the certificate: {error}") from None
