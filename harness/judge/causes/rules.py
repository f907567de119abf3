"""The causes as one table. Each row: which failed hits it can explain, around which moments of which pods, what
stands as evidence, and the manifest line that fixes it.

A rule gives, for one pod (or for the whole rollout), a *window* (starts.py, stops.py, shortage.py): when the failed hit
must have begun, ended, and how long it took.

Sides: of the rules of one side the first in the table that fits a hit wins (it is the more specific one);
rules of different sides that fit the same hit are a set that cannot be told apart. Rules about the whole rollout win.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.judge.balancers.meaning import BROKEN, OF_A_POD, TIMED_OUT, Meaning
from harness.judge.causes import shortage, starts, stops
from harness.judge.wording import at, count, lasting

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.judge.causes.context import Context, Window
    from harness.judge.timeline.lifeline import Lifeline

# It was not taken, or broke before the answer.
REFUSAL = Meaning.REFUSED | BROKEN | Meaning.APP_UNAVAILABLE
# Nobody said anything.
SILENCE = TIMED_OUT
# It had begun.
CUT_OFF = BROKEN | Meaning.CUT
# There was nobody to send it to: by the balancer's own word, or as it shows before the balancer has heard.
_UNAVAILABLE = Meaning.NOBODY
NOBODY = Meaning.NOBODY | Meaning.REFUSED
# The pod's own words. A limit touches all pods alike.
_ERRORS = Meaning.APP | Meaning.APP_UNAVAILABLE | Meaning.UNKNOWN
_BREAKS = ~(_ERRORS | Meaning.LIMITED | TIMED_OUT)
_NOTHING = Meaning(0)  # known by other signs than its meaning
# Causes, by id, of what was sent to a pod that no longer listened, and of what was in flight when one ended.
AFTER_STOP = frozenset({"B1", "C1", "B6", "B7", "C3", "C6", "C19"})
AT_EXIT = frozenset({"B2", "B3", "B4", "B5", "B9", "C4", "C9"})
# Names of causes that show both at their pods and where no endpoint is left.
LIVENESS_KILLS = "the livenessProbe kills pods while they start"
CRASHES = "the new version crashes"

# Values that a rule's line may name, and what is said where nothing decides them.
VALUES = {
    "prestop": "a sleep for as long as traffic still comes",
    "grace": "preStop, the longest request, and some to spare",
    "readiness": "an httpGet on the port that serves",
    "startup": "one that allows for the start",
    "min_ready": "longer than it takes to register and check a target",
    "strategy": "RollingUpdate, maxUnavailable 0, with a surge",
    "gate": "a readiness gate of the balancer, or ",  # where the balancer has one
    "reload": "the balancer: a controller that takes changes of endpoints without a reload",
    "or_no_surge": "; or spec.strategy.rollingUpdate.maxSurge: 0 with more replicas",  # where no surge is advised
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. `window(pod, context, lag_ns)` is None where the rule has nothing to do with a pod.

    `fix` may hold {container}, filled in here, and the names of VALUES, which the advice decides (advice/advice.py).
    `known_pod_only`: fits only hits whose pod is known.
    """

    id: str
    side: str  # own | beside (no pod has a part in it) | whole | start | stop | capacity
    name: str
    meanings: Meaning  # fits hits that may mean one of these
    window: Callable[[Lifeline, Context, int], Window | None]
    evidence: Callable[[Lifeline, Context], str]
    fix: str
    known_pod_only: bool = False
    pinned_only: bool = False  # fits only hits on a connection that had carried others, and leads to one pod
    unknown_pod_only: bool = False  # fits only answers that came from no pod
    unsafe_only: bool = False  # fits only methods that may not be sent twice
    of_any_pod: bool = False  # what one pod's going costs is lost at the others
    queued_only: bool = False  # fits nothing that waited while others were answered at once
    also: str = ""  # the id of a cause that looks the same here: the two are a set
    in_flight: bool = (
        False  # fits nothing that waited longer than requests take, where it may have been for a dead pod
    )
    yields_to: Meaning = _NOTHING  # of what may mean one of these, a rule about that is the likelier one


# --- evidence -----------------------------------------------------------------------------------------------


def _start_story(pod: Lifeline, context: Context) -> str:
    zero = context.timeline.zero_ns
    listening = context.listening_ns(pod)
    heard = f"first good answer {at(listening, zero)}" if listening is not None else "no answer names it"
    probe = "with a readinessProbe" if pod.spec.readiness_probe else "no readinessProbe"
    least = context.surroundings.min_ready_s
    # A3
    delay = (
        f"; minReadySeconds {least} delays when it counts as available, not when requests come"
        if least
        else ""
    )
    unplaced = pod.noted("FailedScheduling")
    scheduling = f", FailedScheduling: {unplaced.message[:80]}" if unplaced else ""
    return (
        f"started {at(pod.started_ns, zero)}, in endpoints {at(pod.in_endpoints_ns, zero)}, {heard},"
        f" {probe}{scheduling}{delay}"
    )


def _stop_story(pod: Lifeline, context: Context) -> str:
    zero = context.timeline.zero_ns
    hook = f"preStop {pod.spec.pre_stop}" if pod.spec.pre_stop else "no preStop"
    failed = ", FailedPreStopHook" if pod.noted("FailedPreStopHook") else ""
    code = f" with {pod.exit_code}" if pod.exit_code is not None else ""
    ended = f"exited {at(pod.exited_ns, zero)}{code}" if pod.exited_ns is not None else "exit not seen"
    if pod.exit_assumed:
        ended += " (not seen: as others of its kind)"
    left = (
        f"out of endpoints {at(pod.out_of_endpoints_ns, zero)}, "
        if pod.out_of_endpoints_ns is not None
        else ""
    )
    return f"deleted {at(pod.deleted_ns, zero)}, {left}{ended}, {hook}{failed}, grace {lasting(pod.spec.grace_ns)}"


def _no_story(pod: Lifeline, context: Context) -> str:
    del pod, context
    return ""


def _restart_story(pod: Lifeline, context: Context) -> str:
    zero = context.timeline.zero_ns
    unhealthy = pod.noted("Unhealthy")
    why = f", Unhealthy: {unhealthy.message[:60]}" if unhealthy else ""
    return f"started {at(pod.started_ns, zero)}, restarted {count(pod.restarts, 'time')}{why}"


def _flap_story(pod: Lifeline, context: Context) -> str:
    zero = context.timeline.zero_ns
    left = ", ".join(at(stop, zero) for _, stop in pod.endpoints if stop is not None)
    return f"left the endpoints {left}" + (
        "" if pod.deleted_ns is None else f", deleted {at(pod.deleted_ns, zero)}"
    )


def _down_story(pod: Lifeline, context: Context) -> str:
    return f"restarted {count(pod.restarts, 'time')}, {_flap_story(pod, context)}"


_CONTAINER = "spec.template.spec.containers[{container}]"
_GRACE = "spec.template.spec.terminationGracePeriodSeconds"

_PRE_STOP = f"{_CONTAINER}.lifecycle.preStop: {{prestop}}; {_GRACE}: {{grace}}"
_NO_LINE = (
    "no line of the rollout: the new version itself; maxUnavailable 0 keeps the old one serving meanwhile"
)
_LOST_TO_A_GRACE = f"{_GRACE}: {{grace}}"

RULES: tuple[Rule, ...] = (
    Rule("E1", "own", "the load host ran out of ports or descriptors", _NOTHING, shortage.never, _no_story,
         "raise `ulimit -n`, or net.ipv4.ip_local_port_range on the load host; the manifest has no part in it"),
    Rule("E2", "beside", "began before any pod was touched: nothing in the rollout", _NOTHING,
         shortage.never, _no_story,
         ("the balancer's error log from that moment on (ports, descriptors, limits), and what else changed then;"
          " no line of the pods' manifest")),
    Rule("E3", "beside", "too many requests, or a quota: it touches all pods alike", Meaning.LIMITED,
         shortage.never, _no_story,
         "whoever limits: a rate limit of the balancer or of the app, or a quota; a load below it (-c, --rate)"),
    Rule("E4", "beside", "somebody deleted the workload or its Service: nothing was left to answer", _NOTHING,
         shortage.never, _no_story, "no line of the manifest: run again while nobody deletes anything"),
    Rule("C7", "beside", "an idle timeout of the balancer ended streams on which nothing came", _NOTHING,
         shortage.never, _no_story,
         "the app: send something more often than that; the balancer: a longer timeout for streams"),
    Rule("C20", "beside", "a limit of the balancer on how long a stream may last cut streams", _NOTHING,
         shortage.never, _no_story,
         ("the balancer: no limit on how long a stream may last (Envoy's route timeout, Google's timeoutSec); or the"
          " app: end each stream cleanly before that age")),
    Rule("C8", "beside", "the balancer itself closed connections: a reload or a restart", _NOTHING, shortage.never,
         _no_story, "{reload}; clients ask again on a connection that was closed before an answer"),
    Rule("D3", "whole", "strategy Recreate ends all old pods first", NOBODY | REFUSAL | SILENCE, shortage.recreate,
         _stop_story, "spec.strategy: {strategy}", of_any_pod=True),
    Rule("A4", "whole", LIVENESS_KILLS, NOBODY, shortage.killed, _down_story,
         f"{_CONTAINER}.startupProbe: {{startup}}", unknown_pod_only=True, yields_to=OF_A_POD),
    Rule("A8", "whole", CRASHES, NOBODY, shortage.crashed, _down_story, _NO_LINE, unknown_pod_only=True,
         yields_to=OF_A_POD),
    Rule("D7", "whole", "readiness flapped: no endpoint was left, though nobody had deleted a pod", NOBODY,
         shortage.flapped, _flap_story,
         f"{_CONTAINER}.readinessProbe: a timeoutSeconds and a failureThreshold that load does not break"),
    Rule("D6", "whole", "no endpoint was left: the new pod waits for something the old one holds", NOBODY,
         shortage.nowhere_to_run, _start_story,
         "no hostPort, no volume of one node, no strict anti-affinity{or_no_surge}"),
    Rule("D5", "whole", "no endpoint was left: there is no room for the new pod beside those that are ending", NOBODY,
         shortage.no_room, _start_story, "room for replicas + maxSurge + the pods that are still ending{or_no_surge}"),
    Rule("D1", "whole", "the only endpoint went before the next one came", NOBODY, shortage.only_endpoint, _stop_story,
         f"at least 2 replicas; until then {_PRE_STOP}"),
    Rule("D9", "whole", "no endpoint was left", NOBODY, shortage.no_endpoint, _stop_story,
         "at least 2 replicas, and spec.strategy: {strategy}"),
    Rule("D7", "whole", "readiness had flapped, and the balancer did not know the next endpoint yet", _UNAVAILABLE,
         shortage.flapped_unheard, _flap_story,
         f"{_CONTAINER}.readinessProbe: a timeoutSeconds and a failureThreshold that load does not break",
         unknown_pod_only=True, yields_to=OF_A_POD),
    Rule("D1", "whole", "the only endpoint had gone, and the balancer did not know the next one yet", NOBODY,
         shortage.only_unheard, _stop_story, f"at least 2 replicas; until then {_PRE_STOP}", unknown_pod_only=True,
         yields_to=OF_A_POD),
    Rule("D9", "whole", "no endpoint had been left, and the balancer did not know the next one yet", NOBODY,
         shortage.nobody_unheard, _stop_story, "at least 2 replicas, and spec.strategy: {strategy}",
         unknown_pod_only=True, yields_to=OF_A_POD),
    Rule("A7", "whole", "the balancer had no healthy target, though the cluster had endpoints", _UNAVAILABLE,
         starts.not_registered, _start_story, "{gate}spec.minReadySeconds: {min_ready}", unknown_pod_only=True,
         yields_to=OF_A_POD),
    Rule("C19", "start", "the Service publishes pods that are not ready", REFUSAL | SILENCE, starts.published_early,
         _start_story, "Service spec.publishNotReadyAddresses: false"),
    Rule("A4", "start", LIVENESS_KILLS, REFUSAL | CUT_OFF, starts.killed_starting,
         _restart_story, f"{_CONTAINER}.startupProbe: {{startup}}"),
    Rule("A8", "start", CRASHES, REFUSAL | CUT_OFF, starts.crashed, _restart_story, _NO_LINE),
    Rule("A1", "start", "no readinessProbe: pods were sent requests before they listened", REFUSAL | SILENCE,
         starts.not_listening, _start_story, f"{_CONTAINER}.readinessProbe: {{readiness}}"),
    Rule("A2", "start", "the readinessProbe passes too early: pods that were ready answered with errors", _ERRORS,
         starts.bad_answers, _start_story,
         f"{_CONTAINER}.readinessProbe: a path that fails until everything a request needs is there",
         known_pod_only=True),
    Rule("A2", "start", "the readinessProbe passes too early: pods that were ready broke connections", _BREAKS,
         starts.breaks, _start_story,
         f"{_CONTAINER}.readinessProbe: a path that fails until everything a request needs is there",
         known_pod_only=True),
    Rule("A2", "start", "the readinessProbe passes too early: pods that were ready did not answer", SILENCE,
         starts.no_answers, _start_story,
         f"{_CONTAINER}.readinessProbe: a path that fails until everything a request needs is there"),
    Rule("A5", "start", "a CPU limit makes pods slow right after they start", SILENCE, starts.throttled, _start_story,
         f"{_CONTAINER}.resources.limits.cpu: more, or none; or a smaller maxSurge"),
    Rule("D8", "stop", "an autoscaler, not the rollout, ended a pod of the new version", REFUSAL | CUT_OFF,
         stops.scaled_down, _stop_story, "the HorizontalPodAutoscaler: pin it for the rollout; " + _PRE_STOP),
    Rule("C9", "stop", "the balancer retries on the next pod, but not a method that is unsafe to send twice", CUT_OFF,
         stops.not_retried, _stop_story, _PRE_STOP, unsafe_only=True),
    Rule("B9", "stop", "pods were killed at once: grace period 0, out of memory, or evicted", REFUSAL | CUT_OFF,
         stops.killed_at_once, _stop_story, f"{_GRACE}: {{grace}}, where it is 0; else no line of the rollout"),
    Rule("C19", "stop", "the Service publishes pods that are ending", REFUSAL, stops.published_late, _stop_story,
         "Service spec.publishNotReadyAddresses: false"),
    Rule("C3", "stop", "keep-alive connections stayed with a pod that was ending", REFUSAL | CUT_OFF, stops.pinned,
         _stop_story, "on SIGTERM answer with `Connection: close`; " + _PRE_STOP, known_pod_only=True,
         pinned_only=True),
    Rule("B5", "stop", "preStop lasts longer than the grace period: SIGKILL cut requests off", CUT_OFF | REFUSAL,
         stops.hook_cut, _stop_story, _LOST_TO_A_GRACE),
    Rule("B3", "stop", "SIGTERM has no effect: SIGKILL cut requests off", CUT_OFF, stops.term_ignored, _stop_story,
         f"{_CONTAINER}.command: start the app itself (exec form, or `exec` in the shell), and let it act on SIGTERM"),
    Rule("B4", "stop", "requests outlast the grace period: SIGKILL cut them off", CUT_OFF, stops.grace_too_short,
         _stop_story, _LOST_TO_A_GRACE),
    Rule("B3", "stop", "SIGTERM has no effect, or requests outlast the grace period: SIGKILL cut them off", CUT_OFF,
         stops.grace_used_up, _stop_story, _LOST_TO_A_GRACE, also="B4"),
    Rule("B2", "stop", "the app does not drain: it exits with requests in flight", CUT_OFF, stops.not_drained,
         _stop_story, f"graceful shutdown in the app; until then {_CONTAINER}.lifecycle.preStop: {{prestop}}",
         in_flight=True),
    Rule("B6", "stop", "preStop could not run, which is the same as none", REFUSAL, stops.hook_missing, _stop_story,
         f"{_CONTAINER}.lifecycle.preStop: {{prestop}}; preStop.sleep needs no shell (Kubernetes 1.30 or later)"),
    Rule("B7", "stop", "preStop returned too early, which is the same as none", REFUSAL, stops.hook_short, _stop_story,
         _PRE_STOP),
    Rule("B1", "stop", "no preStop: pods stopped listening while requests still came", REFUSAL, stops.no_hook,
         _stop_story, _PRE_STOP),
    Rule("C1", "stop", "requests still came after preStop had ended", REFUSAL, stops.hook_outlasted, _stop_story,
         _PRE_STOP),
    Rule("B5", "stop", "the grace period was over before preStop: pods stopped listening while requests still came",
         REFUSAL, stops.hook_cut_short, _stop_story, _LOST_TO_A_GRACE),
    Rule("C4", "stop", "the deregistration delay is too short: requests were cut off while their target was drained",
         CUT_OFF, stops.deregistered, _stop_story,
         "the target group's deregistration delay: longer than the longest request"),
    Rule("C6", "stop", "requests were sent to the address of a pod that was gone", SILENCE, stops.dead_address,
         _stop_story, _PRE_STOP, yields_to=REFUSAL),
    Rule("D2", "capacity", "too few pods for the load", SILENCE, shortage.short_of_pods, _stop_story,
         "spec.strategy: {strategy}", of_any_pod=True, queued_only=True),
)  # fmt: skip
