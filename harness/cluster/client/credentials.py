"""Where credentials are: kubeconfig files, or the pod that we run in."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from harness.errors import UsageError
from harness.scenario import yamltext

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def logged_errors() -> Iterator[list[str]]:
    """Collect what is logged as an error inside the block, instead of showing it."""
    caught: list[str] = []

    class Catch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            caught.append(" ".join(record.getMessage().split()))

    handler, root = Catch(logging.ERROR), logging.getLogger()
    root.addHandler(handler)
    try:
        yield caught
    finally:
        root.removeHandler(handler)


def in_cluster() -> bool:
    """Whether we run in a pod."""
    return "KUBERNETES_SERVICE_HOST" in os.environ


def kubeconfig_paths(given: str | None) -> list[str]:
    """Return the kubeconfig files that there are: the one given, else those of KUBECONFIG, else the one at home."""
    named = [given] if given else [p for p in os.environ.get("KUBECONFIG", "").split(os.pathsep) if p]
    candidates = named or [str(Path.home() / ".kube" / "config")]
    return [str(Path(p).expanduser()) for p in candidates if Path(p).expanduser().is_file()]


def kubeconfig_files(given: str | None) -> str:
    """Return the kubeconfig files to read, as the package takes them. Raises UsageError when there is none."""
    found = kubeconfig_paths(given)
    if not found:
        wanted = given or os.environ.get("KUBECONFIG") or "~/.kube/config"
        raise UsageError(f"no kubeconfig at {wanted}; give --kubeconfig FILE, or --lab for the embedded lab")
    return os.pathsep.join(found)


def proxy_url_of(files: str, cluster: str) -> str | None:
    """Return the proxy-url of a cluster in kubeconfig files, of which the first that has it counts.

    Not every version of the package reads it.
    """
    for file in files.split(os.pathsep):
        try:
            found = yamltext.load(yamltext.read_text(Path(file)))
            entries = (found or {}).get("clusters") or ()
            named = [entry["cluster"] for entry in entries if entry["name"] == cluster]
            if named:
                return str(named[0].get("proxy-url") or "") or None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError):
            continue  # the package says what is wrong with it
    return None


def own_namespace() -> str:
    """Return the namespace of the pod that we run in."""
    try:
        return (
            Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
            .read_text(encoding="utf-8")
            .strip()
        )
    except OSError:
        return "default"
