"""The keys of one run: only the collector and its pods can speak to each other, and nobody can read along.

Both ends show a certificate of an authority that is made for this run, exists in memory only, and signs these two
certificates and no other. So the keys are what a token would be: whoever lacks them gets no further than the TLS
handshake. They go to the pods in a Secret; the requests themselves, with their headers and bodies, go over the
connection and are in no object of the cluster.
"""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

COLLECTOR, POD = "collector.zdtest.invalid", "pod.zdtest.invalid"
CERT, KEY, CA = "tls.crt", "tls.key", "ca.crt"  # of the Secret, and of the folder that it is mounted at


@dataclass(frozen=True, slots=True)
class Keys:
    """What both ends are given. All PEM."""

    authority: bytes = field(repr=False)
    collector: bytes = field(repr=False)  # certificate and key
    pod_certificate: bytes = field(repr=False)
    pod_key: bytes = field(repr=False)

    def secret(self) -> dict[str, bytes]:
        """Return the files that each pod needs."""
        return {CERT: self.pod_certificate, KEY: self.pod_key, CA: self.authority}


def issue() -> Keys:
    """Make the keys of a run. The authority's own key is forgotten at once."""
    import trustme  # noqa: PLC0415  a pod makes no keys, and its image need not wait for cryptography

    authority = trustme.CA()
    collector, pod = authority.issue_cert(COLLECTOR), authority.issue_cert(POD)
    return Keys(
        authority.cert_pem.bytes(),
        collector.private_key_and_cert_chain_pem.bytes(),
        b"".join(blob.bytes() for blob in pod.cert_chain_pems),
        pod.private_key_pem.bytes(),
    )


def of_the_collector(keys: Keys) -> ssl.SSLContext:
    """Return what the collector connects with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=keys.authority.decode())
    with tempfile.NamedTemporaryFile(prefix="zdtest-") as file:  # ssl reads certificates from files only
        file.write(keys.collector)
        file.flush()
        context.load_cert_chain(file.name)
    return _strict(context)


def of_a_pod(folder: Path) -> ssl.SSLContext:
    """Return what a pod listens with. Raises OSError if a file of the Secret is missing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(folder / CA)
    context.load_cert_chain(folder / CERT, folder / KEY)
    return _strict(context)


def _strict(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
