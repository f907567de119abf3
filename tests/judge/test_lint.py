"""What manifests say beforehand: every rule on a manifest that breaks it and on one that does not; and after a run."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.judge.lint.lint import CONFIRMED, LINT, REFUTED, UNTESTED, LintFinding, assumptions, lint
from harness.judge.lint.workload_view import POD
from harness.judge.verdict.judgement import judge
from harness.recording.read import Recording
from tests.judge.synthetic import SyntheticRun
from tests.program import zdtest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

Object = dict[str, Any]

SOUND: list[Object] = [
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "replicas": 4,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": {"app": "web", "tier": "front"}},
                "spec": {
                    "terminationGracePeriodSeconds": 40,
                    "containers": [
                        {
                            "name": "web",
                            "image": "registry.example.com/web:1",
                            "command": ["/app/web"],
                            "ports": [{"containerPort": 8080, "name": "http"}],
                            "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
                            "livenessProbe": {"httpGet": {"path": "/alive", "port": 8080}},
                            "startupProbe": {"httpGet": {"path": "/alive", "port": 8080}},
                            "lifecycle": {"preStop": {"sleep": {"seconds": 10}}},
                        }
                    ],
                },
            },
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
    },
    {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web", "namespace": "shop", "annotations": {}},
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{"http": {"paths": [{"path": "/", "backend": {"service": {"name": "web"}}}]}}],
        },
    },
]


def deployment(objects: list[Object]) -> Object:
    found: Object = objects[0]["spec"]
    return found


def pod(objects: list[Object]) -> Object:
    found: Object = deployment(objects)["template"]["spec"]
    return found


def container(objects: list[Object]) -> Object:
    found: Object = pod(objects)["containers"][0]
    return found


def ingress(objects: list[Object], **annotations: str) -> None:
    names = {"target": "alb.ingress.kubernetes.io/target-type",
             "group": "alb.ingress.kubernetes.io/target-group-attributes",
             "interval": "alb.ingress.kubernetes.io/healthcheck-interval-seconds",
             "upstream": "nginx.ingress.kubernetes.io/service-upstream"}  # fmt: skip
    objects[2]["metadata"]["annotations"] = {names[key]: value for key, value in annotations.items()}


def budget(objects: list[Object]) -> None:
    objects.append(
        {
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"minAvailable": "100%", "selector": {"matchLabels": {"app": "web"}}},
        }
    )


def scaler(objects: list[Object]) -> None:
    objects.append(
        {
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}},
        }
    )


def alb(objects: list[Object]) -> None:
    ingress(objects, target="ip")
    objects[2]["spec"]["ingressClassName"] = "alb"


def hook(**action: Any) -> Callable[[list[Object]], None]:
    return lambda objects: container(objects).update(lifecycle={"preStop": action})


def signal(name: str, *, os: str = "linux", image: str = "web:1") -> Callable[[list[Object]], None]:
    def changed(objects: list[Object]) -> None:
        pod(objects).update({"os": {"name": os}} if os else {})
        container(objects).update(image=image)
        container(objects)["lifecycle"]["stopSignal"] = name

    return changed


def native(objects: list[Object], **fields: Any) -> None:
    """Give the pods a native sidecar."""
    pod(objects)["initContainers"] = [
        {"name": "init", "image": "i:1"},
        {"name": "mesh", "image": "m:1", "restartPolicy": "Always", **fields},
    ]


def tight(objects: list[Object]) -> None:
    native(objects)
    hook(sleep={"seconds": 32})(objects)


SIDECAR: Object = {
    "name": "istio-proxy",
    "image": "istio/proxyv2:1.20.0",
    "ports": [{"name": "http-envoy-prom", "containerPort": 15090}],
    "readinessProbe": {"httpGet": {"path": "/healthz/ready", "port": 15021}},
    "lifecycle": {"preStop": {"sleep": {"seconds": 10}}},
}


def route(objects: list[Object], **rule: Any) -> None:
    """A route to web whose second rule is this one."""
    rules = [{"backendRefs": [{"name": "web"}]}, {"backendRefs": [{"name": "web"}], **rule}]
    objects.append({"kind": "HTTPRoute", "metadata": {"name": "front"}, "spec": {"rules": rules}})


def by_argo(objects: list[Object]) -> None:
    """The same workload as an Argo Rollout that ends old pods 5 s after the switch."""
    objects[0] |= {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
    objects[0]["spec"]["strategy"] = {"blueGreen": {"activeService": "web", "scaleDownDelaySeconds": 5}}


BROKEN: dict[str, Callable[[list[Object]], object]] = {
    "readiness-missing": lambda o: container(o).pop("readinessProbe"),
    "prestop-missing": lambda o: container(o).pop("lifecycle"),
    "prestop-outlasts-grace": hook(exec={"command": ["sh", "-c", "sleep 1m"]}),
    "grace-too-tight": hook(sleep={"seconds": 37}),
    "prestop-not-a-sleep": hook(httpGet={"path": "/drain", "port": 8080}),
    "grace-zero": lambda o: pod(o).update(terminationGracePeriodSeconds=0),
    "shell-is-process-1": lambda o: container(o).update(command=["/bin/sh", "-c", "cd /app && ./web --port 8080"]),
    "probe-port-not-served": lambda o: container(o).update(readinessProbe={"tcpSocket": {"port": "ready"}}),
    "probe-port-undeclared": lambda o: container(o).update(readinessProbe={"tcpSocket": {"port": 9090}}),
    "service-port-not-served": lambda o: o[1]["spec"].update(ports=[{"port": 80, "targetPort": 9090}]),
    "readiness-is-liveness": lambda o: container(o).update(readinessProbe=container(o)["livenessProbe"]),
    "liveness-before-start": lambda o: (
        container(o).pop("startupProbe"),
        container(o)["livenessProbe"].update(periodSeconds=2),
    ),
    "min-ready-seconds": lambda o: deployment(o).update(minReadySeconds=20),
    "recreate": lambda o: deployment(o).update(strategy={"type": "Recreate"}),
    "on-delete": lambda o: (o[0].update(kind="StatefulSet"), deployment(o).update(updateStrategy={"type": "OnDelete"})),
    "max-unavailable-few-replicas": lambda o: deployment(o).update(
        replicas=2, strategy={"rollingUpdate": {"maxUnavailable": "50%"}}
    ),
    "single-replica": lambda o: deployment(o).pop("replicas"),
    "deadline-too-short": lambda o: deployment(o).update(minReadySeconds=60, progressDeadlineSeconds=60),
    "budget": budget,
    "readiness-gate-missing": alb,
    "deregistration-delay-short": lambda o: ingress(o, group="deregistration_delay.timeout_seconds=3"),
    "local-traffic-policy": lambda o: o[1]["spec"].update(externalTrafficPolicy="Local"),
    "session-affinity": lambda o: o[1]["spec"].update(sessionAffinity="ClientIP"),
    "publish-not-ready": lambda o: o[1]["spec"].update(publishNotReadyAddresses=True),
    "host-port": lambda o: container(o).update(ports=[{"containerPort": 8080, "name": "http", "hostPort": 8080}]),
    "autoscaler": scaler,
    "no-next-upstream": lambda o: ingress(o, upstream="true"),
    "grace-over-balancer-timeout": lambda o: pod(o).update(terminationGracePeriodSeconds=90),
    "stop-signal-without-os": signal("SIGQUIT", os=""),
    "stop-signal-cuts": signal("SIGTERM", image="docker.io/library/nginx:1.29"),
    "stop-signal-gated": signal("SIGQUIT"),
    "prestop-sleep-zero": hook(sleep={"seconds": 0}),
    "readiness-fails-on-stop": lambda o: container(o).update(
        readinessProbe={"exec": {"command": ["cat", "/run/ready"]}},
        lifecycle={"preStop": {"exec": {"command": ["sh", "-c", "rm -f /run/ready; sleep 10"]}}},
    ),
    "proxy-ends-first": lambda o: pod(o)["containers"].append(
        {**SIDECAR, "lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}
    ),
    "sidecar-grace-tight": tight,
    "sidecar-hook-early": lambda o: native(o, lifecycle={"preStop": {"httpGet": {"path": "/drain", "port": 15000}}}),
    "probe-grace-short": lambda o: container(o)["livenessProbe"].update(terminationGracePeriodSeconds=10),
    "probe-grace-on-readiness": lambda o: container(o)["readinessProbe"].update(terminationGracePeriodSeconds=10),
    "resize-restarts": lambda o: container(o).update(
        resizePolicy=[{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    ),
    "prestop-before-deregistration": lambda o: ingress(o, group="deregistration_delay.timeout_seconds=30"),
    "prestop-before-health-check": lambda o: ingress(o, interval="10"),
    "route-to-nowhere": lambda o: route(o, backendRefs=[]),
    "route-weight-zero": lambda o: route(o, backendRefs=[{"name": "web", "weight": 0}, {"name": "next"}]),
    "route-retries": lambda o: route(o, retry={"attempts": 2, "codes": [502, 503]}),
    "route-timeout": lambda o: route(o, timeouts={"backendRequest": "2s"}),
    "argo-scale-down-delay": by_argo,
    "prestop-needs-shell": lambda o: container(o).update(
        image="gcr.io/distroless/static:nonroot",
        lifecycle={"preStop": {"exec": {"command": ["/bin/sh", "-c", "sleep 5"]}}}
    ),
}  # fmt: skip


def found(objects: list[Object]) -> dict[str, LintFinding]:
    return {finding.rule: finding for finding in lint(objects)}


def test_a_sound_manifest_has_no_finding() -> None:
    assert found(copy.deepcopy(SOUND)) == {}


def test_every_rule_has_a_manifest_that_breaks_it() -> None:
    assert BROKEN.keys() == {rule.id for rule in LINT}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_manifest_that_breaks_a_rule_is_told_so_with_place_reason_and_source(rule: str) -> None:
    objects = copy.deepcopy(SOUND)
    BROKEN[rule](objects)
    finding = found(objects)[rule]
    assert finding.object == f"{objects[0]['kind']}/web"
    assert finding.path
    assert finding.message
    assert finding.reason
    assert finding.source


def test_a_rule_that_a_run_can_refute_says_what_it_would_have_led_to() -> None:
    assert [rule.id for rule in LINT if rule.shown and not rule.causes] == []


def test_services_of_other_pods_and_namespaces_take_no_part() -> None:
    objects = copy.deepcopy(SOUND)
    objects[1]["spec"]["selector"] = {"app": "other"}
    container(objects).pop("lifecycle")
    assert found(objects) == {}, "nobody sends it requests"
    objects[1]["spec"]["selector"] = {"app": "web"}
    objects[1]["metadata"]["namespace"] = "elsewhere"
    assert found(objects) == {}


def test_without_any_service_a_container_with_a_port_is_assumed_to_serve_and_that_is_said() -> None:
    alone = copy.deepcopy(SOUND[:1])
    assert found(alone) == {}
    container(alone).pop("readinessProbe")
    container(alone).pop("lifecycle")
    assert found(alone).keys() == {"readiness-missing", "prestop-missing"}
    (said,) = assumptions(alone)
    assert said.startswith("Deployment/web: no Service was given: it is assumed to serve requests")
    assert "container web declares port 8080" in said
    container(alone)["ports"].insert(0, {"name": "metrics", "containerPort": 9090})
    assert assumptions(alone) == (said,), "a scraper's port is no reason"


@pytest.mark.parametrize("ports", [[], [{"name": "http-metrics", "containerPort": 9090}]])
def test_without_any_service_and_without_a_port_for_requests_it_is_said_that_they_were_left_out(
    ports: list[Object],
) -> None:
    alone = copy.deepcopy(SOUND[:1])
    app = container(alone)
    for gone in ("readinessProbe", "livenessProbe", "startupProbe", "lifecycle"):
        app.pop(gone)
    app["ports"] = ports
    pod(alone)["containers"] = [SIDECAR, app]
    assert found(alone) == {}, "a port of the proxy makes no server of a worker"
    (said,) = assumptions(alone)
    assert "declares no port for requests: readinessProbe and preStop were not asked for" in said


def test_a_workload_that_no_service_given_selects_is_said_to_be_left_out() -> None:
    objects = copy.deepcopy(SOUND)
    assert assumptions(objects) == ()
    objects[1]["spec"]["selector"] = {"app": "other"}
    (said,) = assumptions(objects)
    assert "none of the Services given (web) selects its pods" in said


@pytest.mark.parametrize("first", [True, False])
def test_the_container_that_the_service_leads_to_is_judged_and_not_the_proxy_beside_it(
    *, first: bool
) -> None:
    objects = copy.deepcopy(SOUND)
    app = container(objects)
    pod(objects)["containers"] = [SIDECAR, app] if first else [app, SIDECAR]
    assert found(objects) == {}, "a proxy may probe what it does not declare"
    app.pop("readinessProbe")
    app.pop("lifecycle")
    by_rule = found(objects)
    assert by_rule.keys() == {"readiness-missing", "prestop-missing"}, "the proxy's say nothing of the app"
    assert {finding.path.rpartition("]")[0] for finding in by_rule.values()} == {f"{POD}.containers[web"}
    assert "istio-proxy can, whether this container listens or not" in by_rule["readiness-missing"].message


def test_of_several_services_the_one_that_an_ingress_sends_to_tells_which_container_serves() -> None:
    objects = copy.deepcopy(SOUND)
    exporter = {"name": "exporter", "image": "e:1", "ports": [{"containerPort": 9113}]}
    pod(objects)["containers"].insert(0, exporter)
    scraped = copy.deepcopy(objects[1])
    scraped["metadata"]["name"] = "metrics"
    scraped["spec"]["ports"] = [{"port": 9113, "targetPort": 9113}]
    assert found([objects[0], scraped, *objects[1:]]) == {}


def test_a_service_may_lead_to_a_sidecar_among_the_init_containers() -> None:
    objects = copy.deepcopy(SOUND)
    front = {"name": "front", "image": "f:1", "restartPolicy": "Always", "ports": [{"containerPort": 8443}]}
    pod(objects)["initContainers"] = [front]
    objects[1]["spec"]["ports"].append({"port": 443, "targetPort": 8443})
    assert found(objects) == {}


def test_a_shell_that_execs_its_last_command_is_fine() -> None:
    objects = copy.deepcopy(SOUND)
    container(objects)["command"] = ["sh", "-c", "cd /app && exec ./web"]
    assert found(objects) == {}


def test_a_run_confirms_what_it_lost_by_refutes_what_did_no_harm_and_says_what_it_did_not_test(
    tmp_path: Path,
) -> None:
    def status(synthetic: SyntheticRun) -> dict[str, str]:
        directory = synthetic.write(tmp_path)
        service = {
            "kind": "Service",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"selector": {"app": "web"}},
        }
        live = synthetic.deployment()
        live["spec"]["template"]["metadata"] = {"labels": {"app": "web"}}
        live["spec"]["minReadySeconds"] = 5
        (directory / "manifests" / "before.json").write_text(json.dumps([live, service]))
        return {f.rule: f.status for f in judge(Recording.open(directory)).lint}

    by_rule = status(SyntheticRun.rolling(probe=False))
    assert by_rule["readiness-missing"] == CONFIRMED
    assert by_rule["prestop-missing"] == CONFIRMED
    assert by_rule["min-ready-seconds"] == UNTESTED
    clean = status(SyntheticRun.rolling(prestop=4, grace=6, drains=True))
    assert clean == {"grace-too-tight": REFUTED, "min-ready-seconds": UNTESTED}
    unfinished = status(SyntheticRun.rolling(prestop=4, grace=6, drains=True, load_after=1.0))
    assert unfinished == {"grace-too-tight": UNTESTED, "min-ready-seconds": UNTESTED}


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return zdtest("lint", *words, timeout=60)


def test_the_command_reads_files_and_folders_and_ends_with_1_on_an_error(tmp_path: Path) -> None:
    (tmp_path / "sound.yaml").write_text(yaml.safe_dump_all(SOUND))
    done = command(str(tmp_path))
    assert done.returncode == 0, done.stdout
    assert "0 errors, 0 warnings" in done.stdout
    broken = copy.deepcopy(SOUND)
    BROKEN["prestop-outlasts-grace"](broken)
    (tmp_path / "sound.yaml").write_text(yaml.safe_dump({"kind": "List", "items": broken}))
    done = command(str(tmp_path / "sound.yaml"))
    assert done.returncode == 1
    assert "[prestop-outlasts-grace]" in done.stdout


def test_the_command_says_in_one_line_what_it_assumed_for_a_deployment_alone(tmp_path: Path) -> None:
    bare = copy.deepcopy(SOUND[:1])
    container(bare).pop("readinessProbe")
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump_all(bare))
    done = command(str(tmp_path / "deployment.yaml"))
    assert done.returncode == 1
    assert "[readiness-missing]" in done.stdout
    assert [line for line in done.stdout.splitlines() if line.startswith("note: ")] == [
        (
            "note: Deployment/web: no Service was given: it is assumed to serve requests, for container web declares"
            " port 8080"
        )
    ]


@pytest.mark.parametrize(
    ("content", "says"), [("a: [", "malformed"), ("kind: Service\nmetadata: {name: x}\n", "no Deployment")]
)
def test_what_cannot_be_checked_is_one_line_and_exit_2(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "x.yaml").write_text(content)
    done = command(str(tmp_path / "x.yaml"))
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_probes_whose_commands_are_hidden_are_not_called_the_same() -> None:
    objects = copy.deepcopy(SOUND)
    for name in ("readinessProbe", "livenessProbe"):
        container(objects)[name] = {"exec": {"command": ["probe", "***"]}}
    assert "readiness-is-liveness" not in found(objects)
    for name in ("readinessProbe", "livenessProbe"):
        container(objects)[name] = {"exec": {"command": ["probe"]}}
    assert "readiness-is-liveness" in found(objects)


def test_a_shell_s_script_is_repeated_without_its_values() -> None:
    objects = copy.deepcopy(SOUND)
    container(objects)["command"] = ["sh", "-c", "app --token s3cret -ps3cret"]
    messages = [finding.message for finding in found(objects).values()]
    assert any("write `exec app --token *** -p***`" in message for message in messages)
    assert "s3cret" not in " ".join(messages)
