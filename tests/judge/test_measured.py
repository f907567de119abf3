"""What a rollout measures by itself, how close it was, and what is advised from that."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.judge.advice.draft import Basis, Draft
from harness.judge.advice.pod_start import startup
from harness.judge.lint.lint import REFUTED
from harness.judge.verdict.judgement import Judgement, judge
from harness.model import ClusterFacts, Mark, MarkAt
from harness.recording.read import Recording
from tests.judge.synthetic import TRIGGER, S, SyntheticRun, write_hits

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.advice.margins import Margin


def judged(tmp_path: Path, synthetic: SyntheticRun) -> Judgement:
    return judge(Recording.open(synthetic.write(tmp_path)))


def seconds(value: float) -> object:
    return pytest.approx(value * S, abs=0.15 * S)


def room(judgement: Judgement, what: str) -> Margin:
    return next(line for line in judgement.headroom if line.what == what)


def spec(judgement: Judgement) -> dict[str, Any]:
    """The pod's part of the patch."""
    assert judgement.advice is not None
    found: dict[str, Any] = judgement.advice.patch["spec"]["template"]["spec"]
    return found


def test_the_lag_of_the_data_plane_is_measured_where_pods_outlive_their_traffic(tmp_path: Path) -> None:
    found = judged(tmp_path, SyntheticRun.rolling(prestop=4, grace=20, lag=1.0))
    measured = found.measured
    assert measured is not None
    assert measured.lag is not None
    assert (measured.lag.count, measured.lag.at_least) == (3, 0)
    assert measured.lag.p50_ns == seconds(1.0)
    assert measured.lag.max_ns == seconds(1.0)
    assert measured.reach is not None
    assert measured.reach.max_ns == seconds(1.05)


def test_the_lag_of_an_app_that_dies_before_its_traffic_stops_is_only_known_to_be_at_least_so_long(
    tmp_path: Path,
) -> None:
    measured = judged(tmp_path, SyntheticRun.rolling(lag=3.0)).measured
    assert measured is not None
    assert measured.lag is not None
    assert measured.lag.at_least == measured.lag.count == 3
    assert measured.lag.max_ns < 3 * S


def test_starts_ends_and_capacity_are_measured(tmp_path: Path) -> None:
    measured = judged(
        tmp_path, SyntheticRun.rolling(prestop=4, grace=20, lag=0.5, startup=2.0, drains=True)
    ).measured
    assert measured is not None
    assert measured.listen is not None
    assert measured.listen.p50_ns == pytest.approx(2.6 * S, abs=1.1 * S)  # starts are told in whole seconds
    assert measured.serve is not None
    assert measured.serve.max_ns == seconds(0.55)
    assert measured.exit is not None
    assert measured.exit.max_ns == pytest.approx(7.05 * S, abs=1.1 * S)
    assert measured.drain is not None
    assert measured.drain.max_ns == pytest.approx(3.05 * S, abs=1.1 * S)
    assert measured.tail is not None
    assert 40_000_000 < measured.tail.p99_ns <= measured.tail.max_ns < 60_000_000
    assert measured.capacity is not None
    assert (measured.capacity.replicas, measured.capacity.least_endpoints) == (3, 3)
    assert measured.outage_ns == 0


def test_requests_in_flight_at_an_exit_are_counted_with_the_pod_and_make_the_tail_longer(
    tmp_path: Path,
) -> None:
    synthetic = SyntheticRun.rolling(work=1.5, prestop=3, grace=30, lag=2.0, concurrency=40)
    measured = judged(tmp_path, synthetic).measured
    assert measured is not None
    assert sum(pod.failed_at_exit for pod in measured.pods) == synthetic.truth["cut"]
    assert measured.tail is not None
    assert 0 < measured.tail.cut_ns < 1.9 * S


def test_headroom_says_how_much_of_the_hook_and_of_the_grace_period_was_used(tmp_path: Path) -> None:
    found = judged(tmp_path, SyntheticRun.rolling(prestop=4, grace=20, lag=1.0))
    hook = room(found, "preStop")
    assert hook.used_ns == seconds(1.05)
    assert hook.of_ns == 4 * S
    assert "into its preStop of 4 s: 2.9" in hook.sentence
    assert "to spare" in hook.sentence
    grace = room(found, "grace")
    assert grace.used_ns == pytest.approx(4 * S, abs=1.1 * S)
    assert "of its grace period of 20 s" in grace.sentence
    assert "the first good answer came" in room(found, "readiness").sentence


def test_a_hook_that_traffic_outlasted_has_no_room_left(tmp_path: Path) -> None:
    found = judged(tmp_path, SyntheticRun.rolling(prestop=1, grace=20, lag=3.0))
    assert "too short, by an unknown time" in room(found, "preStop").sentence
    killed = judged(tmp_path / "killed", SyntheticRun.rolling(prestop=2, grace=6, deaf=True))
    assert "was used up, and SIGKILL" in room(killed, "grace").sentence


def test_a_keep_alive_race_is_untested_unless_connections_lay_idle_in_a_lull(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=20)
    assert room(judged(tmp_path, synthetic), "keep-alive").sentence.startswith("not tested")
    marks = (*synthetic.run().marks, MarkAt(Mark.LULL, round((TRIGGER - 3) * S)))
    synthetic.record = {"marks": tuple(sorted(marks, key=lambda mark: mark.t_ns))}
    sentence = room(judged(tmp_path / "lull", synthetic), "keep-alive").sentence
    assert sentence.startswith("idle connections were tested in a lull of 3 s")


def test_the_curve_says_what_each_shorter_hook_would_have_lost(tmp_path: Path) -> None:
    curve = judged(tmp_path, SyntheticRun.rolling(prestop=4, grace=20, lag=1.0)).curve
    lost = [point.lost for point in curve]
    assert lost == sorted(lost, reverse=True)
    assert lost[0] > 50
    assert lost[-1] == 0
    assert next(point.pre_stop_ns for point in curve if not point.lost) == seconds(1.5)
    assert judged(tmp_path / "none", SyntheticRun.rolling()).curve == ()


def test_what_was_measured_is_advised_with_its_margin(tmp_path: Path) -> None:
    found = judged(tmp_path, SyntheticRun.rolling(prestop=1, grace=20, lag=0.6, drains=True))
    pod = spec(found)
    assert found.advice is not None
    (hook,) = [line for line in found.advice.lines if line.path.endswith("lifecycle")]
    assert pod["containers"][0]["lifecycle"]["preStop"]["sleep"] == {"seconds": 3}, (
        "0.65 s, up to 1 s, and 2 s"
    )
    assert "+ 2 s margin" in hook.reason
    assert "the last request reached a pod" in hook.evidence


def test_where_the_lag_is_only_bounded_the_default_of_the_path_is_advised_and_to_measure_again(
    tmp_path: Path,
) -> None:
    found = judged(tmp_path, SyntheticRun.rolling(lag=3.0))
    assert spec(found)["containers"][0]["lifecycle"]["preStop"]["sleep"] == {"seconds": 30}
    assert found.advice is not None
    assert any(
        "until a run with a preStop measures it, use 30 s, the default for" in line.reason
        for line in found.advice.lines
    )
    assert spec(found)["terminationGracePeriodSeconds"] > 30


def facts(synthetic: SyntheticRun, **change: Any) -> ClusterFacts:
    cluster = synthetic.run().cluster
    assert cluster is not None
    return replace(cluster, **change)


def test_a_server_without_the_native_sleep_gets_a_hook_that_runs_one_and_a_warning_without_a_shell(
    tmp_path: Path,
) -> None:
    synthetic = SyntheticRun.rolling(lag=3.0)
    synthetic.record = {"cluster": facts(synthetic, version="v1.20.2")}
    hook = spec(judged(tmp_path, synthetic))["containers"][0]["lifecycle"]["preStop"]
    assert hook == {"exec": {"command": ["/bin/sh", "-c", "sleep 30"]}}
    shellless = synthetic.deployment()
    shellless["spec"]["template"]["spec"]["containers"][0]["image"] = "gcr.io/distroless/python3"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SyntheticRun, "deployment", lambda _: shellless)
        found = judged(tmp_path / "shellless", synthetic)
    assert found.advice is not None
    assert any("no shell" in warning for warning in found.advice.warnings)


def test_a_grace_period_of_zero_is_mended_by_one_that_lets_the_hook_run(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(grace=0, lag=2.0)
    for pod in synthetic.pods:
        if pod.deleted is not None:
            pod.exits, pod.gone, pod.code = pod.deleted + 0.02, pod.deleted + 0.1, 137
    found = judged(tmp_path, synthetic)
    assert "B9" in {name for cause in found.causes for name in cause.ids}
    mended = spec(found)
    hook_s = mended["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert mended["terminationGracePeriodSeconds"] > hook_s > 0
    assert found.advice is not None
    assert not any("from outside" in warning for warning in found.advice.warnings)


def test_a_balancer_that_is_slow_to_take_in_new_pods_is_waited_for(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(replicas=1, lag=5.0, record={"scenario": {"balancer": "alb"}})
    old, new = synthetic.pods[0], synthetic.pods[1]
    assert old.deleted is not None
    synthetic.lag = 0.0
    rows = synthetic.hits()  # 503 from the old one's leaving until 5 s after the new one is ready
    for row in rows:
        t = row["due_ns"] / S - TRIGGER
        if t < old.deleted:
            row |= {"status": 200, "pod": old.name}
        elif t < new.ready + 5.0:
            row |= {"status": 503, "pod": ""}
        else:
            row |= {"status": 200, "pod": new.name}
    directory = synthetic.write(tmp_path)
    write_hits(directory / "hits" / "0.arrow", rows)
    found = judge(Recording.open(directory))
    assert "A7" in {name for cause in found.causes for name in cause.ids}
    assert found.advice is not None
    assert found.advice.patch["spec"]["minReadySeconds"] == 11, (
        "twice the 5 s and a bit from Ready to the first answer"
    )


def test_the_manifest_that_is_patched_is_the_one_that_is_there_after_the_trigger(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=20, lag=6.0)
    directory = synthetic.write(tmp_path)
    now = synthetic.deployment()
    now["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 200
    (directory / "manifests" / "after.json").write_text(json.dumps([now]))
    found = judge(Recording.open(directory))
    assert found.advice is not None
    assert "terminationGracePeriodSeconds" not in found.advice.patch["spec"]["template"]["spec"], (
        "200 s are enough"
    )


def test_a_keep_alive_race_is_answered_with_the_time_that_the_balancer_keeps_idle_connections(
    tmp_path: Path,
) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=20, noise=0.0007, seed=3)
    found = judged(tmp_path, synthetic)
    assert [cause.diagnosis for cause in found.causes] == ["C2"]
    assert found.advice is not None
    assert any("idle timeout of 60 s: say 65 s" in warning for warning in found.advice.warnings)
    synthetic.record = {"cluster": facts(synthetic, lab=True), "scenario": {"lab": {"idle_timeout": 10 * S}}}
    again = judged(tmp_path / "lab", synthetic)
    assert again.advice is not None
    assert any("idle timeout of 10 s: say 15 s" in warning for warning in again.advice.warnings)


PROXY: dict[str, Any] = {
    "name": "istio-proxy",
    "image": "istio/proxyv2:1.20.0",
    "ports": [{"name": "http-envoy-prom", "containerPort": 15090}],
    "readinessProbe": {"httpGet": {"path": "/healthz/ready", "port": 15021}},
    "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
}
SERVICE: dict[str, Any] = {
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}


def test_causes_fixes_and_the_patch_speak_of_the_container_that_the_service_leads_to(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(probe=False, beside=(PROXY,), services=(SERVICE,))
    found = judged(tmp_path, synthetic)
    assert {pod.spec.container for pod in found.timeline.pods} == {"web"}
    assert not any(pod.spec.readiness_probe or pod.spec.pre_stop for pod in found.timeline.pods)
    fixes = "\n".join(fix for cause in found.causes for fix in cause.mend)
    assert "spec.template.spec.containers[web].readinessProbe" in fixes
    assert "httpGet / on 8080" in fixes
    assert "istio-proxy" not in fixes
    (container,) = spec(found)["containers"]
    assert container["name"] == "web"
    assert container["readinessProbe"]["httpGet"]["port"] == 8080
    assert "preStop" in container["lifecycle"]
    assert not [line for line in found.headroom if line.what == "preStop"], (
        "the proxy's hook protects the proxy"
    )


def test_a_clean_run_behind_a_proxy_without_probe_or_hook_knows_that_the_app_has_both(tmp_path: Path) -> None:
    bare = {key: PROXY[key] for key in ("name", "image", "ports")}
    synthetic = SyntheticRun.rolling(prestop=4, grace=20, drains=True, beside=(bare,), services=(SERVICE,))
    found = judged(tmp_path, synthetic)
    assert found.advice is not None
    assert (found.advice.patch, found.advice.warnings) == ({}, ())
    assert room(found, "preStop").of_ns == 4 * S
    assert not [line for line in found.lint if line.status == REFUTED and "istio-proxy" in line.path]


def test_a_probe_is_advised_without_the_query_that_the_recording_does_not_hold(tmp_path: Path) -> None:
    target = {"method": "GET", "url": "https://h/cart?token=***&page=***", "weight": 1}
    found = judged(tmp_path, SyntheticRun.rolling(probe=False, record={"targets": (target,)}))
    assert spec(found)["containers"][0]["readinessProbe"]["httpGet"]["path"] == "/cart"
    assert found.advice is not None
    assert any("without its query (?token=***&page=***)" in warning for warning in found.advice.warnings)


@pytest.mark.parametrize(
    "check",
    [
        {"exec": {"command": ["probe", "***"]}},
        {"httpGet": {"path": "/up?key=***", "port": 8080}},
        {"httpGet": {"path": "/up", "port": 8080, "httpHeaders": [{"name": "A", "value": "***"}]}},
    ],
)
def test_a_startup_probe_is_never_made_of_what_the_recording_hides(
    tmp_path: Path, check: dict[str, Any]
) -> None:
    recording = Recording.open(SyntheticRun.rolling(probe=False).write(tmp_path))
    found = judge(recording)
    assert found.measured is not None
    workload = SyntheticRun.rolling().deployment()
    workload["spec"]["template"]["spec"]["containers"][0]["livenessProbe"] = check
    basis = Basis(
        run=recording.run, timeline=found.timeline, numbers=found.numbers, measured=found.measured,
        ids=frozenset({"A4"}),
        beside=frozenset(), workload=workload, objects=(), failed=True,
    )  # fmt: skip
    draft = Draft(basis)
    startup(basis, draft)
    patch = draft.whole()
    assert "***" not in str(patch)
    assert patch["spec"]["template"]["spec"]["containers"][0]["startupProbe"]["tcpSocket"] == {"port": 8080}
    assert any("keeps no values" in warning for warning in draft.warnings)
