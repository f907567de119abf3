"""Lint of newer fields, and of preStop against a balancer's own times: where a rule must keep quiet, and what it
counts.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.judge.lint.lint import lint
from harness.judge.verdict.judgement import judge
from harness.recording.read import Recording
from tests.judge.synthetic import SyntheticRun
from tests.judge.test_lint import (
    BROKEN,
    SIDECAR,
    SOUND,
    alb,
    container,
    found,
    hook,
    ingress,
    native,
    pod,
    signal,
)

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model import ClusterEvent

Object = dict[str, Any]


def sound() -> list[Object]:
    return copy.deepcopy(SOUND)


def live(name: str, *, gates: Any = None, **labels: str) -> Object:
    gated = {"readinessGates": gates} if gates else {}
    meta = {"name": name, "namespace": "shop", "labels": {"app": "web", "tier": "front", **labels}}
    return {"kind": "Pod", "metadata": meta, "spec": gated}


GATE = [{"conditionType": "target-health.elbv2.k8s.aws/k8s-shop-web"}]


@pytest.mark.parametrize(
    ("image", "name", "cuts"),
    [
        ("nginx", "SIGTERM", True),
        ("registry:5000/library/nginx@sha256:0", "SIGINT", True),
        ("nginx:1", "SIGQUIT", False),
        ("httpd:2.4", "SIGTERM", True),
        ("httpd:2.4", "SIGWINCH", False),
        ("shop/nginx-exporter:1", "SIGTERM", False),
        ("web:1", "SIGTERM", False),
        ("web:1", "SIGKILL", True),
    ],
)
def test_a_signal_that_ends_a_server_at_once_is_told_from_one_that_lets_it_finish(
    image: str, name: str, *, cuts: bool
) -> None:
    objects = sound()
    signal(name, image=image)(objects)
    assert ("stop-signal-cuts" in found(objects)) == cuts


def test_on_windows_there_are_two_signals() -> None:
    objects = sound()
    signal("SIGQUIT", os="windows")(objects)
    assert "on Windows only" in found(objects)["stop-signal-without-os"].message
    signal("SIGTERM", os="windows")(objects)
    assert "stop-signal-without-os" not in found(objects)


def test_a_server_that_has_pods_with_the_field_has_its_feature() -> None:
    objects = sound()
    signal("SIGQUIT")(objects)
    assert found(objects).keys() == {"stop-signal-gated"}
    assert found([*objects, live("web-1")]) == {}


def test_a_proxy_that_lasts_as_long_as_the_app_or_is_a_native_sidecar_is_fine() -> None:
    objects = sound()
    pod(objects)["containers"].append(SIDECAR)
    assert found(objects) == {}
    pod(objects)["containers"].pop()
    pod(objects)["initContainers"] = [
        {"name": "istio-proxy", "image": "istio/proxyv2:1.27.0", "restartPolicy": "Always"}
    ]
    assert found(objects) == {}


def test_a_log_shipper_that_ends_first_loses_no_request() -> None:
    objects = sound()
    pod(objects)["containers"].append({"name": "fluent-bit", "image": "fluent-bit:3"})
    assert found(objects) == {}


def test_native_sidecars_that_have_time_left_are_fine_and_so_is_their_sleep() -> None:
    objects = sound()
    native(objects, lifecycle={"preStop": {"sleep": {"seconds": 10}}})
    assert found(objects) == {}
    container(objects)["lifecycle"]["preStop"]["sleep"]["seconds"] = 38
    assert found(objects).keys() == {"grace-too-tight"}, "one finding says it"


def test_a_probes_grace_that_is_longer_than_the_hook_is_fine() -> None:
    objects = sound()
    container(objects)["livenessProbe"]["terminationGracePeriodSeconds"] = 15
    assert found(objects) == {}


def test_a_resize_that_restarts_nothing_is_fine() -> None:
    objects = sound()
    container(objects)["resizePolicy"] = [{"resourceName": "cpu", "restartPolicy": "NotRequired"}]
    assert found(objects) == {}


@pytest.mark.parametrize(
    "script", ["touch /run/other; sleep 10", "sleep 10; cat /run/ready", "rm /run/ready.d; sleep 10"]
)
def test_a_hook_that_leaves_the_probes_file_alone_is_fine(script: str) -> None:
    objects = sound()
    BROKEN["readiness-fails-on-stop"](objects)
    container(objects)["lifecycle"]["preStop"]["exec"]["command"][2] = script
    assert "readiness-fails-on-stop" not in found(objects)


def test_a_gate_that_a_webhook_gave_to_every_live_pod_is_not_missing() -> None:
    objects = sound()
    alb(objects)
    assert found(objects)["readiness-gate-missing"].message.startswith("none: ")
    assert found([*objects, live("web-1", gates=GATE), live("web-2", gates=GATE)]) == {}


def test_a_webhook_that_left_out_some_pods_is_told_by_the_pods() -> None:
    objects = sound()
    alb(objects)
    pods = [live("web-1", gates=GATE), live("web-2"), live("other-1", app="other")]
    assert found([*objects, *pods])["readiness-gate-missing"].message.startswith(
        "1 of 2 live pods have none: "
    )


def test_the_live_pods_of_a_run_tell_of_their_gates(tmp_path: Path) -> None:
    def gates(directory: Path) -> list[str]:
        path = directory / "manifests" / "before.json"
        objects = sound()
        alb(objects)
        objects[0]["spec"]["template"]["metadata"]["labels"] = {"app": "web"}
        path.write_text(json.dumps(objects))
        return [
            f.message for f in judge(Recording.open(directory)).lint if f.rule == "readiness-gate-missing"
        ]

    run = SyntheticRun.rolling(prestop=10, grace=40)
    (said,) = gates(run.write(tmp_path / "without"))
    assert said.startswith("6 of 6 live pods have none")
    original = SyntheticRun.events

    def events(self: SyntheticRun) -> list[ClusterEvent]:
        found = original(self)
        for event in found:
            if event.kind == "Pod":
                event.object["spec"]["readinessGates"] = GATE
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SyntheticRun, "events", events)
        directory = run.write(tmp_path / "with")
    assert gates(directory) == []


def test_a_delay_of_nodes_and_one_that_the_hook_outlasts_are_fine() -> None:
    objects = sound()
    ingress(objects, group="deregistration_delay.timeout_seconds=10,stickiness.enabled=false")
    assert found(objects) == {}
    ingress(objects, group="deregistration_delay.timeout_seconds=60", target="instance")
    assert found(objects) == {}, "a node does not go with a pod"


def test_without_a_hook_the_missing_hook_is_said_and_not_that_it_is_too_short() -> None:
    objects = sound()
    ingress(objects, group="deregistration_delay.timeout_seconds=60", interval="30")
    container(objects).pop("lifecycle")
    assert found(objects).keys() == {"prestop-missing"}
    hook(httpGet={"path": "/drain", "port": 8080})(objects)
    assert found(objects).keys() == {"prestop-not-a-sleep"}, "how long it lasts cannot be read"


def test_the_delay_is_named_with_its_place_and_its_seconds() -> None:
    objects = sound()
    key = "service.beta.kubernetes.io/aws-load-balancer-target-group-attributes"
    objects[1]["metadata"]["annotations"] = {key: "deregistration_delay.timeout_seconds=45"}
    message = found(objects)["prestop-before-deregistration"].message
    assert (
        message
        == "lasts 10 s, and Service web says a deregistration delay of 45 s: for 45 s requests may still come"
    )


@pytest.mark.parametrize(
    ("prefix", "given", "seconds"),
    [
        (
            "alb.ingress.kubernetes.io/",
            {"healthcheck-interval-seconds": "10", "unhealthy-threshold-count": "3"},
            30,
        ),
        ("alb.ingress.kubernetes.io/", {"unhealthy-threshold-count": "4"}, 60),
        ("service.beta.kubernetes.io/aws-load-balancer-", {"healthcheck-interval": "20"}, 60),
        (
            "alb.ingress.kubernetes.io/",
            {"healthcheck-interval-seconds": "5"},
            None,
        ),  # 5 s x 2: the hook lasts as long
        ("alb.ingress.kubernetes.io/", {"healthcheck-interval-seconds": "often"}, None),
    ],
)
def test_a_health_check_takes_its_interval_times_its_threshold(
    prefix: str, given: dict[str, str], seconds: int | None
) -> None:
    objects = sound()
    objects[1]["metadata"]["annotations"] = {f"{prefix}{key}": value for key, value in given.items()}
    finding = found(objects).get("prestop-before-health-check")
    assert (finding is not None) == (seconds is not None)
    if finding is not None:
        assert finding.message.endswith(f"for {seconds} s requests may still come")


CONFIG: Object = {
    "apiVersion": "cloud.google.com/v1",
    "kind": "BackendConfig",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "connectionDraining": {"drainingTimeoutSec": 60},
        "healthCheck": {"checkIntervalSec": 5, "unhealthyThreshold": 4},
    },
}


@pytest.mark.parametrize("note", ['{"default": "web"}', '{"ports": {"http": "web"}}'])
def test_a_backend_config_that_the_service_names_tells_both(note: str) -> None:
    objects = [*sound(), CONFIG]
    assert found(objects) == {}, "no Service names it"
    objects[1]["metadata"]["annotations"] = {"cloud.google.com/backend-config": note}
    by_rule = found(objects)
    assert by_rule.keys() == {"prestop-before-deregistration", "prestop-before-health-check"}
    assert (
        "BackendConfig web says a connectionDraining of 60 s"
        in by_rule["prestop-before-deregistration"].message
    )
    assert "for 20 s requests" in by_rule["prestop-before-health-check"].message


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "x",
        5,
        [],
        {"healthCheck": 5, "connectionDraining": []},
        {"healthCheck": {"checkIntervalSec": {}}},
    ],
)
def test_a_backend_config_or_a_pod_of_any_shape_breaks_nothing(wrong: Any) -> None:
    objects = [
        *sound(),
        {**CONFIG, "spec": wrong},
        {"kind": "Pod", "metadata": {"name": "p", "labels": wrong}, "spec": wrong},
    ]
    objects[1]["metadata"]["annotations"] = {"cloud.google.com/backend-config": '{"default": "web"}'}
    alb(objects)
    assert {finding.rule for finding in lint(objects)} == {"readiness-gate-missing"}
    for note in ("{", "5", '{"default": 5, "ports": []}'):
        objects[1]["metadata"]["annotations"] = {"cloud.google.com/backend-config": note}
        assert {finding.rule for finding in lint(objects)} == {"readiness-gate-missing"}


def test_affinity_says_for_how_long_a_client_stays() -> None:
    objects = sound()
    objects[1]["spec"] |= {
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
    }
    assert "until it has sent nothing for 10800 s" in found(objects)["session-affinity"].message
