"""Where the server's certificate comes from: files, or a CA of its own in the cluster."""

from __future__ import annotations

import logging
from typing import Protocol

from certs.authority import Leaf, Unusable
from certs.events import Events
from certs.files import FileCertificate, read_clients, read_leaf
from certs.repetition import LOGGER, told
from certs.serving import ServedCertificate
from certs.throwaway import issue
from webhook.server.options import Cluster, Files


class CertificateSource(Protocol):
    """Looks after the certificate that is served."""

    @property
    def is_ready(self) -> bool:
        """Whether the API server accepts the certificate."""

    @property
    def paths(self) -> frozenset[str]:
        """Paths that only the API server knows, and whoever may read the configuration."""

    async def run(self) -> None:
        """Look after it until cancelled."""


async def make_certificate(tls: Files | Cluster, events: Events) -> tuple[ServedCertificate, CertificateSource]:
    """Return the certificate to begin with, and what exchanges it.

    Raises:
        Unusable: the files hold no pair that can be used, or there is no cluster to keep one in.

    """
    if isinstance(tls, Files):
        served = ServedCertificate(read_leaf(tls.certificate, tls.key), read_clients(tls.client_ca))
        return served, FileCertificate(served, tls.certificate, tls.key, events, clients=tls.client_ca)
    # Until the first one is signed, one that nobody trusts: probes are answered, and the API server is not.
    placeholder = issue(["localhost"])
    served = ServedCertificate(Leaf(placeholder.certificate, placeholder.key))
    return served, await _in_cluster(tls, served, events)


async def _in_cluster(tls: Cluster, served: ServedCertificate, events: Events) -> CertificateSource:
    from certs import api_server, cluster  # noqa: PLC0415 - files need no client for the cluster
    from certs.controller import Controller, hosts_of  # noqa: PLC0415

    names = cluster.Names(tls.namespace, tls.secret, tls.configuration)
    hosts = (*hosts_of(tls.service, tls.namespace, tls.domain), *tls.extra_hosts)
    try:
        connected = api_server.connect()
    except api_server.NoCluster as error:
        raise Unusable(
            f"a CA can be kept in a cluster only: {error}; "
            "run it in a pod, set KUBECONFIG, or give --tls-cert and --tls-key"
        ) from None
    return Controller(cluster.Cluster(connected, names), served, hosts, events, tls.terms)


async def look_after(source: CertificateSource, events: Events) -> None:
    """Look after the certificate until cancelled; where that ends all the same, liveness is to fail."""
    try:
        await source.run()
    except Exception as error:
        logging.getLogger(LOGGER).critical("nobody looks after the certificates any more: %s", told(error))
    else:
        logging.getLogger(LOGGER).critical("nobody looks after the certificates any more")
    finally:
        events.is_cared_for = False
