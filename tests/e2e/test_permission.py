"""A run with the least Role, and with one verb less; a run from a pod inside the cluster."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.cluster.permission.rbac import as_yaml, needs, role
from harness.scenario.trigger import parse
from tests.e2e.real_cluster import Deployed, kubectl, one_load_at_a_time

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[2]


def allow(deployed: Deployed, documents: list[dict[str, Any]]) -> None:
    """Give the ServiceAccount this Role, and no other."""
    kubectl("-n", deployed.namespace, "apply", "-f", "-", stdin=as_yaml(documents))


def account(deployed: Deployed) -> Path:
    """Make the ServiceAccount, and a kubeconfig for it."""
    namespace = ["-n", deployed.namespace]
    kubectl(*namespace, "create", "serviceaccount", "zdtest")
    secret = ""
    for _ in range(50):
        secret = kubectl(*namespace, "get", "serviceaccount", "zdtest", "-o", "jsonpath={.secrets[0].name}")
        if secret:
            break
        time.sleep(0.2)
    token = base64.b64decode(
        kubectl(*namespace, "get", "secret", secret, "-o", "jsonpath={.data.token}")
    ).decode()
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    config["users"] = [{"name": "zdtest", "user": {"token": token}}]
    config["contexts"] = [{"name": "realk8s", "context": {"cluster": "realk8s", "user": "zdtest"}}]
    path = deployed.home / "restricted.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def test_the_least_role_is_enough_and_one_verb_less_is_refused_by_its_name(
    deployed: Callable[..., Deployed],
) -> None:
    web = deployed("seed/1-no-probe")
    whole = role(web.namespace, "Deployment", "web", parse("restart"))
    kubeconfig = str(account(web))
    allow(web, whole)
    run = web.zdtest(
        "--kubeconfig",
        kubeconfig,
        "-c",
        "10",
        "-d",
        "8s",
        "--trigger-after",
        "3s",
        "--settle",
        "3s",
    )
    assert run.code == 1, run.stderr + run.stdout
    assert run.recording.run.rollout
    assert run.recording.run.rollout.state == "complete"
    assert run.recording.gaps() == []

    wanted = [
        need for need in needs("Deployment", "web", parse("restart"), "endpointslices") if not need.optional
    ]
    assert len(wanted) > 8
    for need in wanted:
        verb, resource = need.verb, need.resource
        less = role(web.namespace, "Deployment", "web", parse("restart"))
        for rule in less[0]["rules"]:
            if resource in rule["resources"]:
                rule["verbs"] = [v for v in rule["verbs"] if v != verb]
        less[0]["rules"] = [rule for rule in less[0]["rules"] if rule["verbs"]]
        allow(web, less)
        refused = web.zdtest("--kubeconfig", kubeconfig, "-d", "5s", loads=False)
        assert refused.code == 2, refused.stderr
        assert f"{verb} {resource}" in refused.stderr.splitlines()[-1]


def test_a_pod_inside_the_cluster_tests_its_neighbour_without_any_kubeconfig(
    deployed: Callable[..., Deployed],
) -> None:
    """The CronJob of deploy/ as one Job: its account, Role and arguments, with the deployment's image and URL."""
    web = deployed("seed/1-no-probe")
    address = json.loads(kubectl("-n", web.namespace, "get", "service", "web", "-o", "json"))["spec"][
        "clusterIP"
    ]
    for doc in yaml.safe_load_all((REPOSITORY / "deploy" / "kustomize" / "rbac.yaml").read_text()):
        doc["metadata"]["namespace"] = web.namespace
        for subject in doc.get("subjects", []):
            subject["namespace"] = web.namespace
        kubectl("apply", "-f", "-", stdin=yaml.safe_dump(doc))
    job = yaml.safe_load((REPOSITORY / "deploy" / "kustomize" / "cronjob.yaml").read_text())["spec"][
        "jobTemplate"
    ]
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    arguments = [f"http://{address}/" if "://" in word else word for word in container["args"]]
    for flag, value in (("--namespace", web.namespace), ("--concurrency", "10"), ("--duration", "8s")):
        arguments[arguments.index(flag) + 1] = value
    container |= {
        "image": "docker.io/local/box:1",
        "imagePullPolicy": "Never",
        "command": [sys.executable, "-m", "harness"],
        "args": [*arguments, "--settle", "3s", "--trigger-after", "3s"],
        "workingDir": "/results",
        "env": [
            {"name": "PYTHONPATH", "value": str(REPOSITORY)},
            {"name": "MPLCONFIGDIR", "value": "/tmp"},  # noqa: S108
        ],
    }
    pod["securityContext"] = {}  # the host's Python is root's
    pod["dnsPolicy"] = "Default"
    paths = {p: p for p in (sys.base_prefix, sys.prefix, str(REPOSITORY), "/usr")} | {
        "/lib": "/usr/lib",
        "/lib64": "/usr/lib64",
    }
    for number, (inside, outside) in enumerate(paths.items()):
        container["volumeMounts"].append({"name": f"host{number}", "mountPath": inside, "readOnly": True})
        pod["volumes"].append({"name": f"host{number}", "hostPath": {"path": outside}})
    job |= {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "nightly", "namespace": web.namespace},
    }
    command = [
        "kubectl",
        "-n",
        web.namespace,
        "wait",
        "--for=condition=Failed",
        "job/nightly",
        "--timeout=120s",
    ]
    with one_load_at_a_time():
        kubectl("apply", "-f", "-", stdin=yaml.safe_dump(job))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    states = json.loads(kubectl("-n", web.namespace, "get", "pods", "-l", "job-name=nightly", "-o", "json"))[
        "items"
    ]
    ended = states[0]["status"]["containerStatuses"][0]["state"]["terminated"]
    assert done.returncode == 0, done.stderr + str(states[0]["status"])
    assert ended["exitCode"] == 1
    verdict = ended["message"].rstrip().splitlines()[-1]
    assert verdict.startswith("FAIL"), ended["message"]
