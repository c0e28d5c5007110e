"""The source of the server's certificate: files, or a CA in the cluster."""

from __future__ import annotations

import logging
from typing import Protocol

from certs.authority import issue_certificate
from certs.certificate import Leaf
from certs.errors import NoClusterConfigured, Unusable, describe_error
from certs.files import FileCertificate, read_clients, read_leaf
from certs.metrics import CertificateMetrics
from certs.retry import LOGGER
from certs.served_certificate import ServedCertificate
from webhook.server.options import Cluster, Files


class CertificateSource(Protocol):
    """Manages the served certificate."""

    @property
    def is_ready(self) -> bool:
        """Whether the API server accepts the certificate."""

    @property
    def paths(self) -> frozenset[str]:
        """Paths that are known only to the API server and to readers of the configuration."""

    async def run(self) -> None:
        """Manage the certificate until cancelled."""


async def make_certificate(
    tls: Files | Cluster, certificate_metrics: CertificateMetrics
) -> tuple[ServedCertificate, CertificateSource]:
    """Return the initial certificate, and what replaces it.

    Raises:
        Unusable: the files contain no usable pair, or there is no cluster.

    """
    if isinstance(tls, Files):
        served = ServedCertificate(read_leaf(tls.certificate, tls.key), read_clients(tls.client_ca))
        return served, FileCertificate(served, tls.certificate, tls.key, certificate_metrics, clients=tls.client_ca)
    # Until the first certificate is signed, use one that no client trusts: probes work, calls of the API server fail.
    placeholder = issue_certificate(["localhost"])
    served = ServedCertificate(Leaf(placeholder.certificate, placeholder.key))
    return served, await _in_cluster(tls, served, certificate_metrics)


async def _in_cluster(
    tls: Cluster, served: ServedCertificate, certificate_metrics: CertificateMetrics
) -> CertificateSource:
    from certs import api_server, cluster  # noqa: PLC0415 - files need no client for the cluster
    from certs.renewal import Controller, service_hosts  # noqa: PLC0415

    names = cluster.Names(tls.namespace, tls.secret, tls.configuration)
    hosts = (*service_hosts(tls.service, tls.namespace, tls.domain), *tls.extra_hosts)
    try:
        connected = api_server.connect()
    except NoClusterConfigured as error:
        raise Unusable(
            f"the CA is stored in a cluster, but {error}; run in a pod, set KUBECONFIG, or set --tls-cert and --tls-key"
        ) from None
    return Controller(cluster.Cluster(connected, names), served, hosts, certificate_metrics, tls.settings)


async def supervise(source: CertificateSource, certificate_metrics: CertificateMetrics) -> None:
    """Manage the certificate until cancelled; if that ends early, let liveness fail."""
    try:
        await source.run()
    except Exception as error:
        logging.getLogger(LOGGER).critical("certificate management has stopped: %s", describe_error(error))
    else:
        logging.getLogger(LOGGER).critical("certificate management has stopped")
    finally:
        certificate_metrics.is_managed = False
