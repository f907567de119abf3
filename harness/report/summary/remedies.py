"""What to do about each finding that withholds a PASS. docs/verdict.md says when each occurs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.findings.finding import (
    ALIVE,
    ANSWERED,
    BACK,
    BASELINE,
    CLOSED,
    COVERED,
    ENDED,
    EVERY_ROLLOUT,
    HELD,
    KEEPS_UP,
    LOSSLESS,
    NONE_OUT,
    PAIRED,
    PROVEN,
    RECORDED,
    SPARE,
    TOGETHER,
    WATCHED,
    WHOLE,
    WITHOUT_HOLE,
)
from harness.model import Grade

if TYPE_CHECKING:
    from harness.judge.findings.finding import Finding
    from harness.judge.verdict.judgement import Judgement

REMEDIES = {
    LOSSLESS: "run again with a longer baseline (--trigger-after): it tells chance from the rollout",
    CLOSED: "check the URL: no stream was opened",
    BACK: "let the load go on for longer after the rollout (--settle)",
    ANSWERED: "check the URL, and which statuses count as good (--expect)",
    BASELINE: (
        "find out why requests fail without a rollout (zdtest run --no-rollout), "
        "or allow more (--max-baseline-failures)"
    ),
    PROVEN: (
        "let answers name their pod (header X-Pod, or --pod-header NAME); if you "
        "are sure of the URL, say --path-proven"
    ),
    COVERED: "check the pods below and `kubectl rollout status`; then run again while nobody else changes the workload",
    WATCHED: "run again; if it happens again, check the API server and the network to it",
    NONE_OUT: "look for requests that hang; or let the load go on for longer (--settle, --drain)",
    WHOLE: "let the server send Content-Length or chunked answers, and run again",
    PAIRED: "find the server or proxy that sends answers nobody asked for, and run again",
    ALIVE: "look for the OOM killer in the load host's log; run again, with fewer connections (-c) if need be",
    SPARE: "raise `ulimit -n`, or widen net.ipv4.ip_local_port_range on the load host, and run again",
    RECORDED: "check the disk of the load host, and run again",
    KEEPS_UP: "run on a load host that is less busy, or with more --workers, or with fewer connections (-c)",
    TOGETHER: "give that pod more CPU (--pod-template), or run zdtest in the cluster, nearer to its pods",
    WITHOUT_HOLE: "run again on a load host that does nothing else",
    HELD: "raise -c, or lower --rate",
    ENDED: "run again, and let it run to its end",
    EVERY_ROLLOUT: "run again, with more time (--max-time) if it ran out of it",
}
_CONDITION = "check how the condition is written: this run has nothing to measure it by"
_LIMITS = {
    "age": (
        "lift the limit for streams (Envoy: `timeout: 0s` on the route), then run again; "
        "or allow for it (--max-baseline-failures)"
    ),
    "either": (
        "send something more often than that: if streams last longer then, it was an idle timeout; "
        "else lift the limit for streams (Envoy: `timeout: 0s` on the route)"
    ),
    "silence": (
        "send something more often than that, or raise the balancer's idle timeout, then run again; "
        "or allow for it (--max-baseline-failures)"
    ),
}
# Why a rollout was not covered depends on what ended the run.
_UNCOVERED = {
    "dry_run": "run it without --dry-run",
    "nothing_changed": "choose a change that replaces pods, such as --trigger restart",
    "rollout_stalled": "find out what holds the new pods back: `kubectl describe` the workload and its pods",
    "deleted": "run again while nobody deletes the workload",
    "max_time": "give the run more time (--max-time), or find out why the rollout takes so long",
    "interrupted": "",  # the finding on the run's end says it
    "crash": "",
    "baseline_unsound": "",
    "worker_lost": "",
    "service_down": "",
}


def remedy(finding: Finding, judgement: Judgement) -> str:
    """Return what to do about a finding that withholds the PASS; "" if another finding's remedy covers it."""
    objective = finding.objective
    if objective == COVERED and judgement.about.rollout_reason.startswith("paused"):
        return "promote it while the load goes on (`kubectl argo rollouts promote`), or give the pause a duration"
    if objective == COVERED:
        return _UNCOVERED.get(judgement.ended_by, REMEDIES[COVERED])
    held = judgement.streams
    if held is not None and held.limit in _LIMITS and objective.startswith((CLOSED, BASELINE)):
        return _LIMITS[held.limit]
    if objective == LOSSLESS and not _covered(judgement):
        return ""
    known = next((one for one in (BASELINE, BACK) if objective.startswith(one)), objective)
    return REMEDIES.get(known, _CONDITION)


def _covered(judgement: Judgement) -> bool:
    return not any(
        finding.objective == COVERED and finding.grade is Grade.INCONCLUSIVE
        for finding in judgement.verdict.findings
    )
