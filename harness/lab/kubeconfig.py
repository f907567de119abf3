"""A lab's credentials: certificate, key, the owner's token, and the kubeconfig with them.

Secrets are kept in a folder of their own, outside of the recording, which may be shared; it is removed with the lab.
"""

from __future__ import annotations

import base64
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import trustme
import yaml

CONTEXT = "zdtest-lab"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The paths of certificate, key and CA certificate, and the owner's token."""

    cert: str
    key: str
    ca: str
    token: str = field(repr=False)


def issue(public: Path, private: Path) -> Credentials:
    """Create a token, and a certificate for API server and balancer. Raises OSError if a file exists already."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    cert, ca, key = public / "cert.pem", public / "ca.pem", private / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    ca.write_bytes(authority.cert_pem.bytes())
    _write(key, issued.private_key_pem.bytes())
    return Credentials(str(cert), str(key), str(ca), secrets.token_urlsafe(32))


def write(private: Path, server: str, owner: Credentials, namespace: str) -> str:
    """Write the kubeconfig; return its path. Raises OSError if it exists already."""
    path = private / "kubeconfig"
    data = base64.b64encode(Path(owner.ca).read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": {"server": server, "certificate-authority-data": data}}],
        "users": [{"name": CONTEXT, "user": {"token": owner.token}}],
        "contexts": [
            {"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT, "namespace": namespace}}
        ],
        "current-context": CONTEXT,
    }
    _write(path, yaml.safe_dump(config, sort_keys=False).encode())
    return str(path)


def _write(path: Path, data: bytes) -> None:
    """Create a file that only its owner can read, from the start."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)
