"""Lint of how a workload is rolled out: strategy, replicas, deadlines. Each check yields (place in the manifest, what
is wrong there).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.lint.workload_view import (
    DEPLOY,
    LintRule,
    rule,
)
from harness.k8s import argo
from harness.k8s.amounts import amount

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.judge.lint.workload_view import WorkloadView


def _min_ready(view: WorkloadView) -> Iterator[tuple[str, str]]:
    seconds = int(view.spec.get("minReadySeconds") or 0)
    if seconds:
        yield (
            "spec.minReadySeconds",
            f"{seconds} delays only when a pod counts as available; requests come as soon as it is ready",
        )


def _few_replicas(view: WorkloadView) -> Iterator[tuple[str, str]]:
    if view.workload.get("kind") != "Deployment" or view.strategy.get("type") == "Recreate":
        return
    value = view.rolling.get("maxUnavailable", "25%")
    lost = amount(value, view.replicas, up=False)
    if lost and lost * 3 >= view.replicas:
        yield (
            "spec.strategy.rollingUpdate.maxUnavailable",
            f"{value} lets {lost} of {view.replicas} pods go before a new one serves",
        )


def _single(view: WorkloadView) -> Iterator[tuple[str, str]]:
    if view.workload.get("kind") != "DaemonSet" and view.replicas == 1 and not view.scalers:
        yield (
            "spec.replicas",
            "1: the only endpoint is exchanged, and there is nothing to fall back on meanwhile",
        )


def _recreate(view: WorkloadView) -> Iterator[tuple[str, str]]:
    if view.strategy.get("type") == "Recreate":
        yield "spec.strategy.type", "Recreate ends all old pods before a new one is made"


def _on_delete(view: WorkloadView) -> Iterator[tuple[str, str]]:
    if view.strategy.get("type") == "OnDelete":
        yield "spec.updateStrategy.type", "OnDelete: a rollout waits until somebody deletes pods"


def _deadline(view: WorkloadView) -> Iterator[tuple[str, str]]:
    deadline, least = view.spec.get("progressDeadlineSeconds"), int(view.spec.get("minReadySeconds") or 0)
    if deadline is not None and int(deadline) <= least:
        yield (
            "spec.progressDeadlineSeconds",
            f"{deadline} is not longer than minReadySeconds ({least}): every rollout counts as failed",
        )


def _kept_too_short(view: WorkloadView) -> Iterator[tuple[str, str]]:
    if view.workload.get("kind") != argo.KIND:
        return
    strategy = view.spec.get("strategy") or {}
    part = "blueGreen" if strategy.get("blueGreen") is not None else "canary"
    said = (strategy.get(part) or {}).get("scaleDownDelaySeconds")
    routed = part == "blueGreen" or (strategy.get("canary") or {}).get("trafficRouting")
    if (
        view.workload.get("kind") == argo.KIND
        and routed
        and said is not None
        and int(said) < argo.SCALE_DOWN_S
    ):
        yield (
            f"spec.strategy.{part}.scaleDownDelaySeconds",
            f"{said}: old pods end that soon after the switch, whether or not every balancer has followed it",
        )


OF_ROLLOUTS: tuple[LintRule, ...] = (
    rule("min-ready-seconds", "info", _min_ready, "A3",
         "it delays Available, not the endpoints (kubernetes#103121)", DEPLOY, shown=False),
    rule("recreate", "error", _recreate, "D3", "there is no pod between the old ones and the new ones", DEPLOY),
    rule("on-delete", "info", _on_delete, "",
         "nothing is replaced by itself",
         "kubernetes.io/docs/concepts/workloads/controllers/statefulset/", shown=False),
    rule("max-unavailable-few-replicas", "warning", _few_replicas, "D2 D9", "capacity falls before it rises", DEPLOY),
    rule("single-replica", "warning", _single, "D1 D9", "the exchange of the only endpoint is a race", DEPLOY),
    rule("argo-scale-down-delay", "warning", _kept_too_short, "B1 C1 C5",
         "a switch of a Service's selector takes time to reach every node and balancer; Argo advises 30 s at least",
         "argo-rollouts.readthedocs.io/en/stable/features/bluegreen/#scaledowndelayseconds"),
    rule("deadline-too-short", "error", _deadline, "A8", "progressDeadlineSeconds must exceed minReadySeconds", DEPLOY),
)  # fmt: skip
