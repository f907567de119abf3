"""What the kubelet decides without doing it: probe counting, back-off, sleeps, environment, phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.k8s.hooks import first_sleep_s, only_sleeps
from harness.lab.kubelet.actions import port_of
from harness.lab.kubelet.environment import MissingError, environment
from harness.lab.kubelet.probes import Streak
from harness.lab.kubelet.restarts import BackOff
from harness.lab.objects.podstatus import ContainerState, phase

if TYPE_CHECKING:
    from harness.lab.objects.store import Object


def test_a_verdict_takes_as_many_results_in_a_row_as_its_threshold() -> None:
    streak = Streak(success_threshold=2, failure_threshold=3)
    assert [streak.take(good) for good in (True, True, False, False, True, False, False, False)] == [
        None,
        True,
        None,
        None,
        None,
        None,
        None,
        False,
    ]


def test_a_container_restarts_at_once_then_after_10_seconds_doubling_to_5_minutes() -> None:
    back_off, now, waits = BackOff(), 1000.0, []
    for _ in range(8):
        waits.append(back_off.wait_s(finished=now, now=now))
        now += waits[-1]
        back_off.started(now)
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]
    assert back_off.wait_s(finished=now + 700, now=now + 700) == 0  # 10 minutes without a crash: forgotten


@pytest.mark.parametrize(
    ("action", "seconds"),
    [
        ({"exec": {"command": ["sleep", "8"]}}, 8),
        ({"exec": {"command": ["/bin/sleep", "1.5"]}}, 1.5),
        ({"exec": {"command": ["/bin/sh", "-c", "sleep 40"]}}, 40),
        ({"exec": {"command": ["bash", "-c", "exec sleep 2m;"]}}, 120),
        ({"sleep": {"seconds": 5}}, 5),
        ({"exec": {"command": ["/bin/sh", "-c", "sleep 5 && nginx -s quit"]}}, 5),
        ({"exec": {"command": ["sh", "-ec", "sleep 15; kill -QUIT 1"]}}, 15),
        ({"exec": {"command": ["sh", "-c", "kill -QUIT 1; sleep 15"]}}, None),
        ({"exec": {"command": ["nginx", "-s", "quit"]}}, None),
        ({"httpGet": {"port": 80}}, None),
    ],
)
def test_a_hook_sleeps_for_as_long_as_it_says_first(action: Object, seconds: float | None) -> None:
    assert first_sleep_s(action) == seconds
    words = (action.get("exec") or {}).get("command") or [""]
    assert only_sleeps(action) == (seconds is not None and "&&" not in words[-1] and "kill" not in words[-1])


def test_a_probe_finds_its_port_by_name() -> None:
    container = {"ports": [{"name": "http", "containerPort": 8080}]}
    assert (port_of(container, "http"), port_of(container, 81), port_of(container, "82")) == (8080, 81, 82)
    with pytest.raises(ValueError, match="couldn't find port"):
        port_of(container, "grpc")


def test_an_environment_is_put_together_from_all_its_sources() -> None:
    objects: dict[tuple[str, str], Object] = {
        ("ConfigMap", "c"): {"data": {"A": "1", "B": "2"}},
        ("Secret", "s"): {"data": {"S": "aGlkZGVu"}},
    }
    container: Object = {
        "envFrom": [
            {"configMapRef": {"name": "c"}, "prefix": "P_"},
            {"secretRef": {"name": "none", "optional": True}},
        ],
        "env": [
            {"name": "X", "value": "x"},
            {"name": "Y", "value": "$(X)-$(P_A)-$(NONE)-$$(X)"},
            {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "B"}}},
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "S"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        ],
    }
    pod: Object = {"metadata": {"name": "p", "namespace": "default", "labels": {"app": "web"}}}
    found = environment(
        container, pod, "127.1.1.2", "127.1.1.1", lambda kind, name: objects.get((kind, name))
    )
    assert found == {
        "P_A": "1",
        "P_B": "2",
        "X": "x",
        "Y": "x-1-$(NONE)-$(X)",
        "K": "2",
        "S": "hidden",
        "IP": "127.1.1.2",
        "ME": "p",
        "L": "web",
    }


def test_a_missing_config_map_is_said_in_the_kubelets_words() -> None:
    with pytest.raises(MissingError, match='configmap "c" not found'):
        environment(
            {"envFrom": [{"configMapRef": {"name": "c"}}]},
            {"metadata": {"namespace": "d"}},
            "",
            "",
            lambda *_: None,
        )


def state(kind: str, code: int = 0, last: Object | None = None) -> ContainerState:
    values: dict[str, Object] = {
        "running": {"startedAt": ""},
        "waiting": {"reason": "x"},
        "terminated": {"exitCode": code},
    }
    return ContainerState("a", "x", state={kind: values[kind]}, last=last or {})


@pytest.mark.parametrize(
    ("states", "policy", "deleted", "expected"),
    [
        ([state("waiting")], "Always", False, "Pending"),
        ([state("running"), state("waiting")], "Always", False, "Pending"),
        ([state("waiting", last={"terminated": {}})], "Always", False, "Running"),  # back-off
        ([state("terminated", 1)], "Always", False, "Running"),
        ([state("terminated", 0)], "Always", True, "Succeeded"),
        ([state("terminated", 0), state("terminated", 137)], "Always", True, "Failed"),
        ([state("terminated", 0)], "Never", False, "Succeeded"),
        ([state("terminated", 3)], "Never", False, "Failed"),
        ([state("terminated", 3)], "OnFailure", False, "Running"),
    ],
)
def test_a_phase_is_made_of_the_containers_states(
    states: list[ContainerState], policy: str, *, deleted: bool, expected: str
) -> None:
    assert phase(states, policy, deleted=deleted) == expected
