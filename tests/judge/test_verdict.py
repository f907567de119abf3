"""The grade: FAIL beats INCONCLUSIVE beats PASS, and each reason to withhold a PASS does so."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.judge import chance, odds
from harness.judge.numbers import traffic
from harness.judge.verdict.judgement import Judgement, from_json, judge, to_json
from harness.model import (
    NEVER,
    ClusterFacts,
    Grade,
    Mark,
    MarkAt,
    Outcome,
    PathProof,
    RolloutFacts,
    RunRecord,
    WatchGap,
)
from harness.recording.read import Recording
from harness.recording.write import write_json
from tests.judge.synthetic import TRIGGER, S, SyntheticRun, write_hits

if TYPE_CHECKING:
    from pathlib import Path

MS = S // 1000


def clean(**rest: Any) -> SyntheticRun:
    return SyntheticRun.rolling(prestop=4, grace=20, **rest)


def judged(tmp_path: Path, synthetic: SyntheticRun) -> Judgement:
    return judge(Recording.open(synthetic.write(tmp_path)))


def open_points(judgement: Judgement) -> list[str]:
    return [finding.observed for finding in judgement.verdict.findings if finding.grade is Grade.INCONCLUSIVE]


def without(run: RunRecord, *gone: Mark) -> tuple[MarkAt, ...]:
    return tuple(mark for mark in run.marks if mark.mark not in gone)


def facts(**change: Any) -> RolloutFacts:
    rollout = clean().run().rollout
    assert rollout is not None
    return replace(rollout, **change)


def test_a_clean_rollout_passes_and_says_what_that_does_not_prove(tmp_path: Path) -> None:
    found = judged(tmp_path, clean())
    assert found.grade is Grade.PASS
    assert found.verdict.headline.startswith("none of ")
    assert {finding.grade for finding in found.verdict.findings} == {Grade.PASS}
    assert "per million at 95 %" in found.verdict.bound
    assert "up to 95 % of rollouts" in found.verdict.bound


def test_one_lost_request_with_a_clean_control_window_fails(tmp_path: Path) -> None:
    found = judged(tmp_path, SyntheticRun.rolling(1, concurrency=1, work=0.5, prestop=1, seed=4))
    assert found.verdict.lost == 1
    assert found.grade is Grade.FAIL
    assert found.verdict.headline.startswith("1 of ")
    assert "(502: 1)" in found.verdict.headline
    assert found.verdict.bound == ""


def test_the_same_failure_rate_before_and_after_is_not_the_rollouts_fault(tmp_path: Path) -> None:
    found = judged(tmp_path, clean(noise=0.003, record={"max_baseline_failures": 0.01}))
    assert found.grade is Grade.PASS
    assert "failed, no more often than before" in found.verdict.headline


@pytest.mark.parametrize(
    ("synthetic", "record", "says"),
    [
        (clean(noise=0.005), {}, "failed (0."),
        (clean(names_pods=False), {"path": PathProof(proven=False, how="a URL of another host")},
         "path not proven: a URL of another"),
        (clean(), {"rollout": facts(state="stalled", reason="ProgressDeadlineExceeded")},
         "the rollout stalled (ProgressDeadlineExceeded)"),
        (clean(), {"rollout": facts(state="changed")}, "changed by somebody else"),
        (clean(), {"rollout": facts(state="changed", trigger="observe")}, "changed again during the rollout"),
        (clean(), {"rollout": facts(state="deleted"), "ended_by": "deleted"},
         "the workload was deleted during the rollout"),
        (clean(), {"rollout": facts(old_pods=())}, "no old pod was replaced"),
        (clean(), {"rollout": facts(old_pods=(), trigger="observe", new_template=True)}, "no old pod was replaced"),
        (clean(), {"rollout": facts(old_pods=(), trigger="command helm", new_template=True)},
         "no old pod was replaced"),
        (clean(), {"rollout": facts(state="progressing")}, "still progressing"),
        (clean(), {"rollout": facts(state="not_started")}, "the rollout was not started"),
        (clean(load_after=5.0), {}, "the load ended +5.0 s, the rollout"),
        (clean(), {"ended_by": "max_time", "marks": without(clean().run(), Mark.SETTLED)},
         "(max time) before it had settled"),
        (clean(), {"marks": without(clean().run(), Mark.ENDPOINTS_SETTLED, Mark.SETTLED)},
         "endpoints were not seen to settle"),
        (clean(gaps=[WatchGap("Pod", 13 * S, 14 * S, "410 Gone", relisted=True)]), {},
         "the watch of Pod was down 1 time"),
        (clean(gaps=[WatchGap("EndpointSlice", 13 * S, 16 * S, "down", relisted=False)]), {},
         "the watch of EndpointSlice was down 1 time (up to 3 s)"),
        (clean(gaps=[WatchGap("Deployment", 4 * S, 12 * S - MS, "down", relisted=False)]),
         {"rollout": facts(trigger="observe")},
         "just before the change was seen: the rollout may have begun then"),
        (clean(gaps=[WatchGap("Deployment", 32 * S, 99 * S, "down", relisted=False)]), {},
         "the watch of Deployment was down when the load ended"),
        (clean(), {"workers_lost": (0,)}, "1 of 1 worker was lost (number 0); what it wrote"),
        (clean(), {"workers": 2}, "1 of 2 workers was lost (number 1); what it wrote"),
        (clean(), {"workers": 4, "workers_lost": (0,)},
         "4 of 4 workers were lost (numbers 0, 1, 2, 3); what they wrote"),
        (clean(), {"ended_by": "worker_lost"}, "one of 1 worker was lost; what it wrote"),
        (clean(), {"workers": 2, "state": "interrupted", "ended_by": "interrupted"},
         "1 of 2 workers was not waited for (number 1)"),
        (clean(lag_p99=0.08), {}, "saturated: p99 over 50 ms in 100 % of worker 0's seconds"),
        (clean(health=False), {}, "the generator's own lag was not recorded"),
        (clean(), {"state": "interrupted", "ended_by": "interrupted"}, "the run was interrupted"),
        (clean(), {"state": "running", "ended_by": ""}, "it was killed, it crashed, or it is still running"),
    ],
)  # fmt: skip
def test_each_doubt_withholds_a_pass_and_says_why(
    tmp_path: Path, synthetic: SyntheticRun, record: dict[str, Any], says: str
) -> None:
    synthetic.record = record
    found = judged(tmp_path, synthetic)
    if not record and synthetic.noise:
        assert any(says in point for point in open_points(found))
        return
    assert found.grade is Grade.INCONCLUSIVE
    assert any(says in point for point in open_points(found)), open_points(found)
    assert any(point in found.verdict.headline for point in open_points(found))


@pytest.mark.parametrize(
    "record",
    [
        {"state": "interrupted", "ended_by": "interrupted"},
        {"workers_lost": (0,)},
        {"path": PathProof(proven=False, how="")},
        {"rollout": replace(facts(), state="stalled", old_pods=())},
    ],
)
def test_no_doubt_erases_a_lost_request_that_was_seen(tmp_path: Path, record: dict[str, Any]) -> None:
    assert judged(tmp_path, SyntheticRun.rolling(names_pods=False, record=record)).grade is Grade.FAIL


@pytest.mark.parametrize(
    "gap",
    [
        WatchGap("Pod", 13 * S, 14 * S, "the window ended", relisted=False),  # resumed within 2 s
        WatchGap("Pod", 1 * S, 9 * S, "410", relisted=True),  # before the trigger
        WatchGap("Event", 13 * S, 30 * S, "down", relisted=True),  # hides no moment of a pod's life
        WatchGap("Deployment", 4 * S, 12 * S - MS, "down", relisted=False),  # our own change began after it
        WatchGap("Deployment", 28 * S, 31 * S, "down", relisted=False),  # caught up on before the end
        WatchGap("Pod", 32 * S, 99 * S, "down", relisted=False),  # after all pods had come and gone
    ],
)
def test_gaps_that_hide_nothing_are_ignored(tmp_path: Path, gap: WatchGap) -> None:
    assert judged(tmp_path, clean(gaps=[gap])).grade is Grade.PASS


@pytest.mark.parametrize(
    "gap",
    [
        WatchGap("Deployment", 2 * S, 9 * S, "down", relisted=False),  # long before it
        WatchGap(
            "Deployment", 11 * S, 12 * S - MS, "down", relisted=False
        ),  # short: the trigger is put before it
    ],
)
def test_gaps_that_hide_nothing_of_an_observed_change_are_ignored(tmp_path: Path, gap: WatchGap) -> None:
    observed = {"rollout": facts(trigger="observe", new_template=True)}
    assert judged(tmp_path, clean(gaps=[gap], record=observed)).grade is Grade.PASS


@pytest.mark.parametrize("trigger", ["scale 5", "observe", "command kubectl scale", "apply web.yaml"])
def test_scaling_that_ends_no_pod_passes(tmp_path: Path, trigger: str) -> None:
    assert (
        judged(tmp_path, clean(record={"rollout": facts(old_pods=(), trigger=trigger)})).grade is Grade.PASS
    )


def test_pods_that_name_themselves_prove_the_path(tmp_path: Path) -> None:
    found = judged(tmp_path, clean(record={"path": PathProof(proven=False, how="unknown")}))
    assert found.grade is Grade.PASS


def test_more_names_than_there_can_be_pods_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clean().write(tmp_path)
    assert judge(Recording.open(path)).notes == ()
    monkeypatch.setattr(traffic, "POD_NAMES", 2)
    (note,) = judge(Recording.open(path)).notes
    assert "each worker keeps 2" in note
    assert "--pod-header" in note


def test_the_name_of_a_foreign_pod_proves_nothing(tmp_path: Path) -> None:
    synthetic = clean(record={"path": PathProof(proven=False, how="")})
    path = synthetic.write(tmp_path)
    (path / "events.jsonl").write_text("")
    assert any("path not proven" in point for point in open_points(judge(Recording.open(path))))


@pytest.mark.parametrize(
    ("begun", "age", "grade"),
    [
        (1.0, 25.0, Grade.INCONCLUSIVE),  # in the rollout: it may have been lost to that
        (20.0, 15.0, Grade.INCONCLUSIVE),  # later, and long past anything that was usual before
        (None, 0.03, Grade.PASS),  # later, and no longer than usual: the load ended, that is all
    ],
)
def test_a_request_in_flight_at_the_end_withholds_a_pass_if_it_may_be_lost(
    tmp_path: Path, begun: float | None, age: float, grade: Grade
) -> None:
    synthetic = clean(settle=10.0)
    path = synthetic.write(tmp_path)
    row = synthetic.hits()[-1]
    due_ns = row["done_ns"] - round(age * S) if begun is None else round((TRIGGER + begun) * S)
    cut = {
        "due_ns": due_ns,
        "done_ns": due_ns + round(age * S),
        "outcome": Outcome.CUT_AT_DEADLINE,
        "status": 0,
        "first_byte_ns": NEVER,
    }
    write_hits(path / "hits" / "1.arrow", [row | cut])
    found = judge(Recording.open(path))
    assert found.numbers.cut == 1
    assert found.grade is grade
    assert any("1 request still out when the load was over" in f.observed for f in found.verdict.findings)


def silent_at_the_end(tmp_path: Path, **changes: Any) -> Judgement:
    """A clean rollout whose service answers nothing in the last 15 s of the load."""
    synthetic = clean(settle=30.0, **changes)
    path = synthetic.write(tmp_path)
    rows = synthetic.hits()
    end = max(row["done_ns"] for row in rows)
    hung = {
        "done_ns": end + 15 * S, "due_ns": end - 15 * S, "sent_ns": end - 15 * S,
        "outcome": Outcome.CUT_AT_DEADLINE, "status": 0, "first_byte_ns": NEVER,
    }  # fmt: skip
    kept = [row for row in rows if row["done_ns"] < end - 15 * S]
    slots = {row["slot"]: row for row in kept}
    write_hits(path / "hits" / "0.arrow", [*kept, *(row | hung for row in slots.values())])
    return judge(Recording.open(path))


def test_a_service_that_stops_answering_after_the_rollout_fails_the_run(tmp_path: Path) -> None:
    found = silent_at_the_end(tmp_path)
    assert found.grade is Grade.FAIL
    assert found.verdict.headline.startswith("no request was answered in the last 15")


def test_a_silence_while_the_generator_stood_still_proves_nothing(tmp_path: Path) -> None:
    assert silent_at_the_end(tmp_path, lag_p99=2.0).grade is Grade.INCONCLUSIVE


def test_a_plain_load_test_is_judged_whole(tmp_path: Path) -> None:
    base = clean().run()
    plain: dict[str, Any] = {
        "rollout_wanted": False, "cluster": None, "rollout": None, "path": None, "ended_by": "duration",
        "marks": without(
            base, Mark.TRIGGER, Mark.ROLLOUT_DONE, Mark.OLD_PODS_GONE, Mark.ENDPOINTS_SETTLED, Mark.SETTLED
        ),
    }  # fmt: skip
    good = judged(tmp_path / "a", clean(record=plain))
    assert (good.grade, good.verdict.headline) == (
        Grade.PASS,
        f"none of {good.numbers.requests:,} requests failed",
    )
    bad = judged(tmp_path / "b", clean(record=plain, noise=0.0002))
    assert bad.grade is Grade.FAIL
    assert bad.verdict.lost == bad.numbers.failed
    assert "because of the rollout" not in bad.verdict.headline


def test_a_service_that_went_down_fails_even_before_the_trigger(tmp_path: Path) -> None:
    run = clean().run()
    early: dict[str, Any] = {
        "ended_by": "service_down",
        "marks": (*run.marks[:2], MarkAt(Mark.LOAD_END, 9 * S)),
    }
    assert judged(tmp_path, clean(record=early, noise=0.9)).grade is Grade.FAIL


@pytest.mark.parametrize(
    ("ended_by", "says"),
    [
        ("dry_run", "dry run: nothing was changed"),
        ("baseline_unsound", "nothing was changed"),
        ("deleted", "the workload was deleted before the change"),
        ("interrupted", "the run was interrupted"),
    ],
)
def test_a_run_that_never_reached_the_trigger_says_why(tmp_path: Path, ended_by: str, says: str) -> None:
    run = clean().run()
    early: dict[str, Any] = {"ended_by": ended_by, "marks": (*run.marks[:2], MarkAt(Mark.LOAD_END, 9 * S))}
    early["rollout"] = facts(state="not_started")
    found = judged(tmp_path, clean(record=early, noise=0.01))
    assert found.grade is Grade.INCONCLUSIVE
    assert says in found.verdict.headline
    assert found.causes == ()


def test_judging_twice_gives_identical_output(tmp_path: Path) -> None:
    path = SyntheticRun.rolling(probe=False).write(tmp_path)
    moved = tmp_path / "elsewhere" / path.name
    shutil.copytree(path, moved)
    assert to_json(judge(Recording.open(path))) == to_json(judge(Recording.open(moved)))


def test_a_judgement_survives_json(tmp_path: Path) -> None:
    for number, synthetic in enumerate((SyntheticRun.rolling(probe=False), clean(), SyntheticRun())):
        found = judged(tmp_path / str(number), synthetic)
        assert from_json(to_json(found)) == found


@pytest.mark.parametrize("missing", ["events.jsonl", "generator.jsonl", "hits", "manifests", "marks", "all"])
def test_a_recording_with_parts_missing_is_judged_as_far_as_it_goes(tmp_path: Path, missing: str) -> None:
    path = SyntheticRun.rolling(probe=False).write(tmp_path)
    run = Recording.open(path).run
    for name in ("events.jsonl", "generator.jsonl"):
        if missing in {name, "all"}:
            (path / name).write_text("")
    for name in ("hits", "manifests"):
        if missing in {name, "all"}:
            shutil.rmtree(path / name)
    if missing in {"marks", "all"}:
        _rewrite(path, replace(run, marks=(), state="running", ended_by="", rollout=None))
    found = judge(Recording.open(path))
    assert found.grade in {Grade.FAIL, Grade.INCONCLUSIVE}
    assert from_json(to_json(found)) == found


@pytest.mark.parametrize("marks", range(10))
def test_a_run_killed_at_any_mark_is_inconclusive_or_failed(tmp_path: Path, marks: int) -> None:
    path = clean().write(tmp_path)
    run = Recording.open(path).run
    _rewrite(path, replace(run, marks=run.marks[:marks], state="running", ended_by=""))
    found = judge(Recording.open(path))
    assert found.grade is Grade.INCONCLUSIVE
    assert "it was killed, it crashed, or it is still running" in " ".join(open_points(found))


def test_rows_that_are_missing_withhold_a_pass(tmp_path: Path) -> None:
    path = clean().write(tmp_path)
    arrow = path / "hits" / "0.arrow"
    arrow.write_bytes(arrow.read_bytes()[: arrow.stat().st_size * 9 // 10])
    found = judge(Recording.open(path))
    assert found.grade is Grade.INCONCLUSIVE
    assert "worker 0 lacks " in found.verdict.headline


def test_rows_that_end_before_the_load_withhold_a_pass_even_without_counts_to_check(tmp_path: Path) -> None:
    synthetic = clean(settle=8.0)
    path = synthetic.write(tmp_path)
    end = round((TRIGGER + synthetic.ended - 6.0) * S)
    write_hits(path / "hits" / "0.arrow", [row for row in synthetic.hits() if row["done_ns"] < end])
    (path / "generator.jsonl").write_text("")
    assert any("worker 0's rows end +" in point for point in open_points(judge(Recording.open(path))))


def test_a_watch_that_saw_no_pod_is_not_coverage(tmp_path: Path) -> None:
    synthetic = SyntheticRun(
        record={"cluster": ClusterFacts("s", "c", "n", "Deployment", "web", "u", "v1", "me")}
    )
    assert "no pod of the workload was seen" in open_points(judged(tmp_path, synthetic))


def test_bounds_and_tests_are_those_of_the_textbook() -> None:
    assert chance.upper_share(0, 770_240) * 1e6 == pytest.approx(3.9, abs=0.02)
    assert chance.upper_share(0, 2_995) == pytest.approx(0.001, rel=0.001)
    assert [round(odds.clean_runs_bound(m), 2) for m in (1, 3, 5, 10, 59)] == [0.95, 0.63, 0.45, 0.26, 0.05]
    assert [round(odds.least_p(m, m), 3) for m in (1, 3, 4, 5)] == [1.0, 0.1, 0.029, 0.008]


def _rewrite(path: Path, run: RunRecord) -> None:
    write_json(path / "run.json", dataclasses.asdict(run))


@pytest.mark.parametrize("outcome", [Outcome.NO_DESCRIPTOR, Outcome.NO_LOCAL_PORT])
def test_a_load_host_out_of_ports_or_descriptors_withholds_the_pass_and_is_not_the_rollouts_fault(
    tmp_path: Path, outcome: Outcome
) -> None:
    synthetic = clean()
    directory = synthetic.write(tmp_path)
    rows = synthetic.hits()
    struck = [row for row in rows if row["done_ns"] > (TRIGGER + 2) * S][:40]
    for row in struck:
        row |= {"outcome": outcome, "status": 0, "pod": "", "first_byte_ns": NEVER}
    write_hits(directory / "hits" / "0.arrow", rows)
    found = judge(Recording.open(directory))
    assert found.grade is Grade.INCONCLUSIVE
    assert found.verdict.lost == 0
    assert [cause.ids for cause in found.causes] == [("E1",)]
    assert any(
        "40 requests could not be sent" in doubt and outcome.value in doubt for doubt in open_points(found)
    )

    struck[0] |= {"outcome": Outcome.RESPONSE, "status": 502}
    write_hits(directory / "hits" / "0.arrow", rows)
    assert judge(Recording.open(directory)).grade is Grade.FAIL, (
        "a request that the service lost is not hidden by it"
    )
