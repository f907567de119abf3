"""Several rollouts of one run: each is judged by itself, and all of them together."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.judge.verdict.judgement import Judgement, from_json, judge, judge_with_picture, to_json
from harness.model import OF_A_ROLLOUT, ClusterEvent, Grade, HealthSample, Mark, MarkAt, Outcome, Round
from harness.recording.read import Recording
from harness.recording.rounds import parts
from harness.recording.upstreams import Entry, keep
from harness.recording.write import RunDirectory
from harness.report import write_all
from harness.report.text import render
from tests.judge.synthetic import WALL, S, SyntheticRun, write_hits

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any


def clean() -> SyntheticRun:
    return SyntheticRun.rolling(prestop=4, grace=20)


def lossy() -> SyntheticRun:
    return SyntheticRun.rolling()


def series(
    root: Path, *rollouts: SyntheticRun, extra: list[dict[str, Any]] | None = None, named: bool = False
) -> Path:
    """One run directory of several synthetic rollouts, one after the other; `named`: pods keep their names."""
    rows, rounds = list(extra or ()), []
    events: list[ClusterEvent] = []
    marks: list[MarkAt] = []
    begin_ns = 0
    for number, synthetic in enumerate(rollouts):
        for pod in synthetic.pods:
            pod.name = pod.name if named else f"{pod.name[:-5]}{number}{pod.name[-4:]}"
        synthetic.server_skew = begin_ns / S
        record = synthetic.run()
        last = number == len(rollouts) - 1
        for row in synthetic.hits():
            moved = {k: row[k] + begin_ns for k in ("due_ns", "sent_ns", "done_ns")}
            if row["first_byte_ns"] >= 0:
                moved["first_byte_ns"] = row["first_byte_ns"] + begin_ns
            rows.append({**row, **moved})
        events += [replace(event, t_ns=event.t_ns + begin_ns) for event in synthetic.events()]
        own = tuple(MarkAt(m.mark, m.t_ns + begin_ns) for m in record.marks if m.mark in OF_A_ROLLOUT)
        assert record.rollout
        if last:
            marks += own
            marks += [
                MarkAt(m.mark, m.t_ns + begin_ns)
                for m in record.marks
                if m.mark in {Mark.LOAD_END, Mark.DRAIN_END}
            ]
        else:
            rounds.append(Round(own, record.rollout))
        if number == 0:
            marks += [m for m in record.marks if m.mark in {Mark.LOAD_START, Mark.WARMUP_END}]
        begin_ns += record.mark(Mark.SETTLED)
    rows.sort(key=lambda row: row["done_ns"])
    with RunDirectory.create(root, "web", WALL) as directory:
        for event in sorted(events, key=lambda event: event.t_ns):
            directory.event(event)
        ended = Counter(row["done_ns"] // S for row in rows)
        for second in range(begin_ns // S):
            done = ended[second]
            directory.health(
                HealthSample((second + 1) * S, 0, done, done, 0, 10, 0, S // 1000, S // 1000, S // 10, 40)
            )
        directory.manifests("before", [rollouts[0].deployment()])
        write_hits(directory.path / "hits" / "0.arrow", rows)
        final = rollouts[-1].run()
        directory.run(
            replace(
                final,
                marks=tuple(sorted(marks, key=lambda m: m.t_ns)),
                earlier=tuple(rounds),
                rollouts=len(rollouts),
            )
        )
        return directory.path


def judged(path: Path) -> Judgement:
    return judge(Recording.open(path))


def test_rollouts_that_lose_nothing_pass_and_bound_the_next_ones_tighter_than_one_does(
    tmp_path: Path,
) -> None:
    found = judged(series(tmp_path, clean(), clean(), clean()))
    assert found.grade is Grade.PASS, found.verdict
    assert "failed because of 3 rollouts (9 pods replaced)" in found.verdict.headline
    assert "3 clean rollouts: this manifest may still fail in up to 63 % of rollouts" in found.verdict.bound
    assert [one.grade for one in found.rollouts] == [Grade.PASS] * 3


def test_one_rollout_that_loses_requests_fails_the_run_and_is_named(tmp_path: Path) -> None:
    found = judged(series(tmp_path, clean(), lossy(), clean()))
    assert found.grade is Grade.FAIL
    assert [bool(one.verdict.lost) for one in found.rollouts] == [False, True, False]
    assert (
        sum(part.requests for part in found.numbers.parts if part.name != "warmup") == found.numbers.requests
    )
    assert found.verdict.lost == found.rollouts[1].verdict.lost == found.numbers.failed
    assert "because of 1 of 3 rollouts" in found.verdict.headline
    assert found.verdict.bound.startswith("1 of 3 rollouts lost requests: at least 2 % and at most 86 %")
    assert any(text.startswith("in rollout 2 of 3") for cause in found.causes for text in cause.evidence)


def test_each_of_several_rollouts_is_judged_as_if_it_were_alone(tmp_path: Path) -> None:
    alone = judged(lossy().write(tmp_path / "alone"))
    second = judged(series(tmp_path / "series", clean(), lossy())).rollouts[1]
    assert second.verdict.lost == alone.verdict.lost
    assert [(c.ids, c.hits) for c in second.causes] == [(c.ids, c.hits) for c in alone.causes]
    assert second.about.settled_ns == alone.about.settled_ns
    assert [p.failed for p in second.numbers.parts] == [
        p.failed for p in alone.numbers.parts if p.name != "warmup"
    ]


def test_every_request_belongs_to_one_rollout(tmp_path: Path) -> None:
    recording = Recording.open(series(tmp_path, clean(), lossy(), clean()))
    whole = recording.hits(["done_ns"])
    cut = [part.hits(["done_ns"]) for part in parts(recording)]
    assert sum(map(len, cut)) == len(whole)
    assert sorted(t for part in cut for t in part["done_ns"]) == sorted(whole["done_ns"])


def test_what_an_access_log_told_is_read_once_for_all_rollouts(tmp_path: Path) -> None:
    path = series(tmp_path, clean(), lossy())
    keep(path, {(0, 1): Entry("10.1.0.30", "nginx", "502")}, None)
    recording = Recording.open(path)
    log = recording.access_log()
    assert log.entries
    assert all(part.access_log() is log for part in parts(recording))
    assert recording.access_log() is log


def test_a_request_left_hanging_by_one_rollout_is_not_in_the_next_baseline(
    tmp_path: Path,
) -> None:
    first = clean()
    settled = first.run().mark(Mark.SETTLED)
    hung = {
        "seq": 999_999, "slot": 9, "conn": 9, "conn_hits": 0, "due_ns": settled - 4 * S, "sent_ns": settled - 4 * S,
        "first_byte_ns": settled + 3 * S, "done_ns": settled + 3 * S, "status": 504, "outcome": Outcome.RESPONSE,
        "bytes_in": 120, "bytes_out": 60, "target": 0, "peer": "127.0.0.1:8088", "pod": "",
    }  # fmt: skip
    found = judged(series(tmp_path, first, clean(), extra=[hung]))
    assert found.grade is Grade.FAIL
    assert [one.verdict.lost for one in found.rollouts] == [1, 0]


def test_a_run_that_ended_before_its_last_rollout_is_inconclusive_and_keeps_what_it_lost(
    tmp_path: Path,
) -> None:
    for name, first, grade in (("clean", clean(), Grade.INCONCLUSIVE), ("lossy", lossy(), Grade.FAIL)):
        path = series(tmp_path / name, first, clean())
        record = Recording.open(path).run
        cut = tuple(
            m
            for m in record.marks
            if m.mark not in {Mark.OLD_PODS_GONE, Mark.ENDPOINTS_SETTLED, Mark.SETTLED}
        )
        raw = json.loads((path / "run.json").read_text())
        raw["marks"] = [{"mark": m.mark, "t_ns": m.t_ns} for m in cut]
        raw |= {"ended_by": "max_time", "rollouts": 3}
        raw["rollout"]["state"] = "progressing"
        (path / "run.json").write_text(json.dumps(raw))
        found = judged(path)
        assert found.grade is grade, name
        assert any(
            f.objective == "every rollout that was asked for is made" and "2 of 3" in f.observed
            for f in found.verdict.findings
        )


def test_the_reports_show_one_line_a_rollout_and_a_folder_for_each(tmp_path: Path) -> None:
    path = series(tmp_path, clean(), lossy())
    found, picture = judge_with_picture(Recording.open(path))
    write_all(found, path, picture)
    text = render(found, latencies=False)
    rows = [line.split() for line in text.splitlines() if line.startswith(("  1  ", "  2  "))]
    assert [row[-1] for row in rows] == ["PASS", "FAIL"]
    for number in (1, 2):
        assert (path / "rollouts" / str(number) / "timeline.png").stat().st_size > 10_000
        assert "Pods (s)" in (path / "rollouts" / str(number) / "summary.txt").read_text()
    assert from_json(to_json(found)) == found
