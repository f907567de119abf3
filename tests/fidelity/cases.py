"""What is done on both clusters: a Deployment, and changes to it at set times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from harness.scenario.resolve import shipped
from tests.e2e.real_cluster import for_real_cluster

Object = dict[str, Any]
# The time-out is long because the machine is busy: a probe that is late would be noise.
LONGER_S = 10.0  # for a busy machine, and for the status loop of an old kubelet
READY: Object = {"httpGet": {"path": "/alive", "port": 8080}, "periodSeconds": 1, "timeoutSeconds": 5}
RESTART: Object = {"spec": {"template": {"metadata": {"annotations": {"fidelity/restart": "1"}}}}}
AGAIN: Object = {"spec": {"template": {"metadata": {"annotations": {"fidelity/restart": "2"}}}}}


def env(**values: Any) -> list[Object]:
    return [{"name": key, "value": str(value)} for key, value in values.items()]


def patch(container: Object | None = None, **spec: Any) -> Object:
    """A strategic merge patch of the spec, and of the one container."""
    body: Object = {"spec": spec}
    if container:
        body["spec"]["template"] = {"spec": {"containers": [{"name": "web", **container}]}}
    return body


@dataclass(frozen=True)
class Case:
    """`steps` are (seconds after the start, patch). The case ends `seconds` after its start."""

    name: str
    about: str
    seconds: float
    container: Object = field(default_factory=dict)
    pod: Object = field(default_factory=dict)
    spec: Object = field(default_factory=dict)
    steps: tuple[tuple[float, Object], ...] = ((0.5, RESTART),)
    up: bool = True  # whether it is available before the first step

    def manifests(self, *, real: bool) -> list[Object]:
        """The app's ConfigMap, the Deployment, its Service."""
        folder = shipped() / "seed" / "base"
        [config] = yaml.safe_load_all((folder / "configmap.yaml").read_text(encoding="utf-8"))
        container = {
            "name": "web",
            "image": "python:3.12-slim",
            "command": ["python3", "/app/app.py"],
            "ports": [{"containerPort": 8080}],
            "volumeMounts": [{"name": "app", "mountPath": "/app", "readOnly": True}],
            "env": env(STARTUP_DELAY=1),
            **self.container,
        }
        deployment: Object = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {
                        "terminationGracePeriodSeconds": 5,
                        "containers": [container],
                        "volumes": [{"name": "app", "configMap": {"name": "web-app"}}],
                        **self.pod,
                    },
                },
                **self.spec,
            },
        }
        service: Object = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }
        return [config, for_real_cluster(deployment) if real else deployment, service]


def sleep(seconds: int) -> Object:
    return {"preStop": {"exec": {"command": ["/bin/sh", "-c", f"sleep {seconds}"]}}}


def rolling(surge: int | str, unavailable: int | str) -> Object:
    return {"strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}}


CASES = (
    Case("no-probe", "no probe, exits at once on SIGTERM", 14),
    Case("readiness", "readinessProbe http", 16, {"readinessProbe": READY}),
    Case(
        "prestop",
        "preStop sleep 3 < grace 10, drains",
        24,
        {"readinessProbe": READY, "lifecycle": sleep(3), "env": env(STARTUP_DELAY=1, ON_TERM="drain")},
        {"terminationGracePeriodSeconds": 10},
    ),
    Case(
        "prestop-over-grace",
        "preStop sleep 20 >= grace 4, ignores SIGTERM",
        26,
        {"readinessProbe": READY, "lifecycle": sleep(20), "env": env(STARTUP_DELAY=1, ON_TERM="ignore")},
        {"terminationGracePeriodSeconds": 4},
    ),
    Case(
        "ignore",
        "ignores SIGTERM, grace 4",
        22,
        {"readinessProbe": READY, "env": env(STARTUP_DELAY=1, ON_TERM="ignore")},
        {"terminationGracePeriodSeconds": 4},
    ),
    Case(
        "initial-delay",
        "readiness initialDelaySeconds 3, periodSeconds 2, successThreshold 2",
        22,
        {"readinessProbe": {**READY, "initialDelaySeconds": 3, "periodSeconds": 2, "successThreshold": 2}},
    ),
    Case(
        "tcp",
        "readinessProbe tcpSocket, the app listens after 4 s",
        20,
        {"readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}, "env": env(STARTUP_DELAY=4)},
    ),
    Case(
        "startup",
        "startupProbe 10 x 1 s before readiness; the app listens after 4 s",
        24,
        {
            "startupProbe": {**READY, "failureThreshold": 10},
            "readinessProbe": READY,
            "env": env(STARTUP_DELAY=4),
        },
    ),
    Case(
        "startup-fails",
        "startupProbe gives up after 3 x 1 s; the app would listen after 200 s",
        100,
        {"startupProbe": {**READY, "failureThreshold": 3}, "env": env(STARTUP_DELAY=200)},
        {"terminationGracePeriodSeconds": 2},
        {"replicas": 1},
        (),
        up=False,
    ),
    Case(
        "liveness-fails",
        "livenessProbe fails 2 x 2 s after 3 s; restart back-off",
        50,
        {
            "livenessProbe": {
                "httpGet": {"path": "/ready", "port": 8080},
                "initialDelaySeconds": 3,
                "periodSeconds": 2,
                "failureThreshold": 2,
            },
            "env": env(STARTUP_DELAY=0, WARMUP=1000),
        },
        {},
        {"replicas": 1},
        (),
    ),
    Case(
        "crash",
        "the container ends with 1 at once: CrashLoopBackOff",
        45,
        {"env": env(ON_TERM="no such word")},
        {},
        {"replicas": 1},
        (),
        up=False,
    ),
    Case(
        "flapping",
        "readiness fails 2 x 1 s, and comes back",
        22,
        {
            "readinessProbe": {
                "httpGet": {"path": "/ready", "port": 8080},
                "periodSeconds": 1,
                "failureThreshold": 2,
            },
            "env": env(STARTUP_DELAY=0, FLAP_EVERY=10, FLAP_FOR=4),
        },
        {},
        {"replicas": 1},
        (),
    ),
    Case(
        "percent",
        "25 % / 25 % of 5: surge 2, unavailable 1",
        26,
        {"readinessProbe": READY},
        {},
        {"replicas": 5, **rolling("25%", "25%")},
    ),
    Case(
        "no-surge",
        "maxSurge 0, maxUnavailable 1 of 3",
        34,
        {"readinessProbe": READY},
        {},
        {"replicas": 3, **rolling(0, 1)},
    ),
    Case(
        "one-by-one",
        "maxSurge 1, maxUnavailable 0 of 3",
        30,
        {"readinessProbe": READY},
        {},
        {"replicas": 3, **rolling(1, 0)},
    ),
    Case(
        "recreate", "strategy Recreate", 40, {"readinessProbe": READY}, {}, {"strategy": {"type": "Recreate"}}
    ),
    Case("min-ready", "minReadySeconds 4", 32, {"readinessProbe": READY}, {}, {"minReadySeconds": 4}),
    Case(
        "deadline",
        "new pods never ready, progressDeadlineSeconds 8",
        20,
        {"readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1}},
        {},
        {"progressDeadlineSeconds": 8},
        ((0.5, patch({"env": env(WARMUP=1000)})),),
    ),
    Case(
        "scaled-within",
        "replicas 3 -> 6 during a rollout, surge 1",
        40,
        {"readinessProbe": READY},
        {},
        {"replicas": 3, **rolling(1, 0)},
        ((0.5, RESTART), (3.5, patch(replicas=6))),
    ),
    Case(
        "second-rollout",
        "a second rollout 3 s after the first, surge 1 of 3",
        36,
        {"readinessProbe": READY},
        {},
        {"replicas": 3, **rolling(1, 0)},
        ((0.5, RESTART), (3.5, AGAIN)),
    ),
)
