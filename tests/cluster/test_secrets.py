"""A kubeconfig may hold passwords where nobody looks for them: in URLs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from harness.cluster.client.answers import status_error
from harness.cluster.client.api import Api
from harness.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def kubeconfig(folder: Path, cluster: dict[str, str], user: Mapping[str, object] | None = None) -> str:
    file = folder / "config"
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": user or {}}],
            }
        )
    )
    return str(file)


@pytest.mark.parametrize(
    "cluster",
    [
        {"server": "http://me:s3cret@127.0.0.1:1"},
        {"server": "http://me:s3cret@127.0.0.1:99999"},
        {"server": "http://127.0.0.1:1", "proxy-url": "http://me:s3cret@127.0.0.1:1"},
    ],
)
def test_a_server_that_cannot_be_reached_is_named_without_its_password(
    tmp_path: Path, cluster: dict[str, str]
) -> None:
    with pytest.raises((ClusterError, UsageError)) as caught:
        Api.connect(kubeconfig(tmp_path, cluster), None).version()
    assert "s3cret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_a_server_is_recorded_without_its_password(tmp_path: Path) -> None:
    api = Api.connect(kubeconfig(tmp_path, {"server": "http://me:s3cret@127.0.0.1:1"}), None)
    assert api.server == "http://127.0.0.1:1"


def test_a_credential_plugin_s_complaint_is_repeated_without_a_token(tmp_path: Path) -> None:
    plugin = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh",
                       "args": ["-c", "echo 'refused: token=s3cret' >&2; exit 3"],
                       "interactiveMode": "Never"}}  # fmt: skip
    with pytest.raises(UsageError) as caught:
        Api.connect(kubeconfig(tmp_path, {"server": "http://127.0.0.1:1"}, plugin), None)
    assert "refused" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_what_a_server_quotes_of_a_manifest_is_not_repeated() -> None:
    body = (
        b'{"reason": "Invalid", "message": "Deployment.apps \\"web\\" is invalid: spec.x: Invalid value:'
        b' {\\"value\\": \\"a: s3cret\\"}: must be x"}'
    )
    assert str(status_error(422, body, {})).endswith("Invalid value: ***: must be x")
