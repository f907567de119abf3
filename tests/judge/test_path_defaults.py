"""Which preStop to begin with, where a run could not measure one: by what stands in front of the pods."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.judge.advice.path_defaults import default_of
from harness.judge.balancers.known import Seen
from tests.judge.synthetic import SyntheticRun

RUN = SyntheticRun.rolling(1).run()
ALB_INGRESS = {"kind": "Ingress", "metadata": {}, "spec": {"ingressClassName": "alb"}}
ENVOY = Seen("envoy", "Envoy", "`server: envoy` on 9 of 9 failed answers")


def named(objects: list[dict[str, Any]], *seen: Seen, **scenario: Any) -> tuple[int, str]:
    found = default_of(replace(RUN, scenario=scenario), objects, seen)
    return found.seconds, found.named


def test_where_manifests_tell_nothing_the_balancer_of_the_answers_does_and_its_evidence_is_said() -> None:
    assert named([]) == (30, "an unknown balancer")
    assert named([], ENVOY) == (10, "Envoy (`server: envoy` on 9 of 9 failed answers)")
    assert named([], Seen("unknown", "unknown", "")) == (30, "an unknown balancer")


def test_manifests_outweigh_answers_and_what_somebody_said_outweighs_both() -> None:
    assert named([ALB_INGRESS], ENVOY) == (30, "an ALB with ip targets (by the manifests)")
    assert named([ALB_INGRESS], ENVOY, balancer="haproxy") == (10, "HAProxy (--balancer)")
    assert named([ALB_INGRESS], ENVOY, balancer="unknown") == (
        30,
        "an ALB with ip targets (by the manifests)",
    )


@pytest.mark.parametrize(
    ("seen", "seconds"),
    [
        (("cloudfront", "alb"), 30),
        (("alb", "nginx"), 10),
        (("cloudfront",), 30),
        (("none",), 5),
        (("traefik",), 10),
    ],
)
def test_of_several_in_a_row_the_one_nearest_to_the_pods_counts(seen: tuple[str, ...], seconds: int) -> None:
    assert named([], *(Seen(name, name, "shown") for name in seen))[0] == seconds
