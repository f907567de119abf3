"""Manifests: what is read, what is refused and how, what is listed as not modelled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from harness.errors import UsageError
from harness.lab import manifests
from tests.lab.control_plane import deployment, service

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.lab.objects.store import Object

    Write = Callable[..., str]


def refusal(*files: str) -> str:
    with pytest.raises(UsageError) as refused:
        manifests.load(files)
    text = str(refused.value)
    assert "\n" not in text
    return text


def test_several_files_and_documents_are_one_set_in_an_order_that_can_be_created(write: Write) -> None:
    config: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {}}
    loaded = manifests.load(
        (write(deployment(), service()), write("# only a comment\n", config, name="b.yaml"))
    )
    assert [item["kind"] for item in loaded.items] == ["ConfigMap", "Service", "Deployment"]
    assert (loaded.service, loaded.namespace, loaded.notes) == ("web", "default", ())


def test_a_list_is_its_members(write: Write) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": [deployment(), service()]}
    assert len(manifests.load((write(listed),)).items) == 2


def test_malformed_yaml_is_reported_with_file_and_line(write: Write) -> None:
    file = write("kind: Deployment\nmetadata: {name: web\nspec: 1\n")
    assert refusal(file).startswith(f"{file}:3: malformed YAML: ")


def test_every_unknown_kind_is_listed_with_its_place(write: Write) -> None:
    other = {"apiVersion": "apps/v1", "kind": "CronJob", "metadata": {"name": "x"}}
    old = {"apiVersion": "extensions/v1beta1", "kind": "Deployment", "metadata": {"name": "y"}}
    file = write(service(), other, old)
    text = refusal(file)
    assert f"CronJob (apps/v1) at {file}:" in text
    assert "Deployment (extensions/v1beta1)" in text


def test_a_missing_deployment_or_service_is_reported(write: Write) -> None:
    assert "no Deployment" in refusal(write(service()))
    assert "no Service" in refusal(write(deployment()))
    assert "no Service" in refusal(write(deployment(), service("other")))
    assert "no such manifest" in refusal("nowhere.yaml")


def test_what_the_api_server_would_refuse_is_refused_with_field_and_line(write: Write) -> None:
    file = write(service(), deployment(replicas=-1))
    line = Path(file).read_text().splitlines().index("apiVersion: apps/v1") + 1
    assert refusal(file).startswith(f"{file}:{line}: Deployment web: spec.replicas: Invalid value: -1")
    assert "is defined already" in refusal(write(service(), service(), deployment()))
    assert "kind is missing" in refusal(write("apiVersion: v1\n"))
    assert "must be a mapping" in refusal(write("- 1\n"))
    assert "metadata.name" in refusal(write("apiVersion: v1\nkind: Service\n"))
    assert "malformed" in refusal(write(service(), deployment(container={"ports": ["x"]})))


def test_an_ingress_chooses_among_services(write: Write) -> None:
    backend = {"service": {"name": "second", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "i"},
        "spec": {"rules": [{"http": {"paths": paths}}]},
    }
    second = service()
    second["metadata"] = {"name": "second"}
    loaded = manifests.load((write(service(), second, deployment(), ingress),))
    assert loaded.service == "second"
    assert loaded.notes == ("not modelled: Ingress i: stored, without effect",)


def test_what_is_not_modelled_is_listed_with_its_path_and_nothing_else_is(write: Write) -> None:
    container = {
        "command": ["python"],
        "resources": {"limits": {"cpu": "1"}},
        "lifecycle": {
            "preStop": {"exec": {"command": ["nginx", "-s", "quit"]}},
            "postStart": {"sleep": {"seconds": 1}},
        },
        "readinessProbe": {"exec": {"command": ["true"]}},
        "livenessProbe": {"httpGet": {"port": 1}},
    }
    first = [{"name": "i", "image": "x"}, {"name": "mesh", "image": "x", "restartPolicy": "Always"}]
    pod = {"initContainers": first, "volumes": [{"name": "v"}], "hostNetwork": True}
    loaded = manifests.load(
        (write(service(sessionAffinity="ClientIP"), deployment(container=container, pod=pod)),)
    )
    at = "not modelled: Deployment web: spec.template.spec"
    assert set(loaded.notes) == {
        "not modelled: Service web: spec.sessionAffinity: ClientIP (treated as None)",
        f"{at}.hostNetwork (every pod has an address of its own)",
        f"{at}.initContainers[0] (assumed done)",
        f"{at}.initContainers[1] (a native sidecar: it starts and ends in its order, but no request passes through it)",
        f"{at}.containers[0].lifecycle.postStart",
        f"{at}.containers[0].lifecycle.preStop.exec (only sleep is modelled: this hook ends at once)",
        f"{at}.containers[0].readinessProbe.exec (passes when the port is open)",
        f"{at}.containers[0].resources.limits (no limit is enforced)",
    }


@pytest.mark.parametrize("folder", sorted(Path("scenarios/seed").glob("[0-9]*")), ids=lambda path: path.name)
def test_the_seed_scenarios_need_nothing_that_is_not_modelled(folder: Path) -> None:
    scenario = yaml.safe_load((folder / "zdtest.yaml").read_text())
    loaded = manifests.load(tuple(str(folder / file) for file in scenario["manifests"]))
    assert loaded.notes == ()
