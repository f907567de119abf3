"""Where calls went, which pods none could reach, and how servers ended connections."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.judge.calls.numbers import CallNumbers, call_numbers
from harness.judge.calls.words import of_calls, sentences
from harness.judge.causes.causes import Cause
from harness.judge.numbers.piecewise.allhits import AllHits
from harness.judge.timeline import timeline as times
from harness.judge.timeline.lifeline import Lifeline, Served
from harness.judge.verdict.judgement import from_json, judge, to_json
from harness.model import Mark, Outcome
from harness.recording.read import Recording
from harness.recording.write import RunDirectory
from tests.judge.synthetic import WALL, S, SyntheticRun, write_hits
from tests.judge.test_numbers import hit, lost, record
from tests.judge.test_rollouts import series

if TYPE_CHECKING:
    from pathlib import Path

# The trigger is at 10 s, and the load goes on until 50 s.
MARKS = {
    Mark.LOAD_START: 0.0, Mark.WARMUP_END: 2.0, Mark.TRIGGER: 10.0, Mark.OLD_PODS_GONE: 12.0,
    Mark.ENDPOINTS_SETTLED: 12.0, Mark.SETTLED: 50.0, Mark.LOAD_END: 50.0, Mark.DRAIN_END: 50.0,
}  # fmt: skip
OLD = Lifeline("old", "1", old=True, in_endpoints_ns=0, endpoints=(Served(0, None),))


def new(ready: float, until: float | None = None, name: str = "new") -> Lifeline:
    """A pod that came into the endpoints at this second."""
    stretch = Served(round(ready * S), None if until is None else round(until * S))
    return Lifeline(name, name, old=False, in_endpoints_ns=stretch.from_ns, endpoints=(stretch,))


def calls(pod: str, begin: float, end: float, conn: int = 0) -> list[dict[str, Any]]:
    """Ten good calls a second to a pod."""
    return [hit(begin + n / 10, pod=pod, conn=conn) for n in range(int((end - begin) * 10))]


def connection(
    conn: int, opened: float, closed: float = 50, by: str = "us", how: str = "end", hits: int = 9
) -> dict[str, Any]:
    return {
        "worker": 0, "conn": conn, "opened_ns": round(opened * S), "connect_ns": 1000, "closed_ns": round(closed * S),
        "closed_by": by, "how": how, "hits": hits,
    }  # fmt: skip


def counted(
    folder: Path, rows: list[dict[str, Any]], connections: list[dict[str, Any]], *pods: Lifeline
) -> CallNumbers:
    run = record(MARKS, grpc="unary")
    with RunDirectory.create(folder, "till", WALL) as directory:
        directory.run(run)
        write_hits(directory.path / "hits" / "0.arrow", sorted(rows, key=lambda row: row["done_ns"]))
    hits = AllHits.of(Recording.open(directory.path))
    timeline = replace(times.read(run, [], [], hits.last_ns), pods=pods)
    return call_numbers(pd.DataFrame(connections), hits, timeline)


def test_a_pod_that_came_later_and_to_which_no_connection_leads_is_left_out(tmp_path: Path) -> None:
    found = counted(tmp_path, calls("old", 3, 50), [connection(0, 0.1)], OLD, new(20))
    assert found.left_out == ("new",)
    assert found.left_out_ns == 30 * S
    assert (found.age_s, found.grace_s) == (30, 5)
    assert [(pod.pod, pod.shares) for pod in found.pods] == [("new", (0.0,) * 8), ("old", (1.0,) * 8)]
    said = sentences(found, 10 * S)
    assert said[0].startswith("1 pod got no call, though ready for 30 s: connections stay with the pods")
    assert "let the server end connections at an age of 30 s, with 5 s of grace" in said[1]
    assert "grpc.max_connection_age_ms" in said[1]


def test_a_pod_that_new_connections_could_have_reached_is_not(tmp_path: Path) -> None:
    for name, opened in (("later", 30), ("at once", 25)):
        (tmp_path / name).mkdir()
        rows, connections = calls("old", 3, 50), [connection(0, 0.1), connection(1, opened)]
        assert counted(tmp_path / name, rows, connections, OLD, new(20)).left_out == ()


def test_a_pod_that_gets_calls_is_not(tmp_path: Path) -> None:
    rows = [*calls("old", 3, 50), hit(49, pod="new", conn=1)]
    found = counted(tmp_path, rows, [connection(0, 0.1), connection(1, 20.2)], OLD, new(20))
    assert found.left_out == ()
    assert [pod.first_ns for pod in found.pods if pod.pod == "new"] == [49 * S]


def test_where_somebody_chooses_a_pod_for_each_call_connections_keep_nobody_out(tmp_path: Path) -> None:
    rows = [*calls("old", 3, 50), *calls("other", 3.05, 50)]
    assert counted(tmp_path, rows, [connection(0, 0.1)], OLD, new(20)).left_out == ()


def test_nothing_is_said_of_a_pod_that_was_ready_briefly_or_while_nobody_called(tmp_path: Path) -> None:
    for name, pod, end in (("brief", new(20, 28), 50), ("late", new(45), 50), ("silent", new(20), 20)):
        (tmp_path / name).mkdir()
        rows = calls("old", 3, end)
        assert counted(tmp_path / name, rows, [connection(0, 0.1)], OLD, pod).left_out == ()


def test_where_no_answer_names_its_pod_nobody_is_said_to_be_left_out(tmp_path: Path) -> None:
    found = counted(tmp_path, calls("", 3, 50), [connection(0, 0.1)], OLD, new(20))
    assert (found.left_out, found.pods) == ((), ())
    assert "no answer names its pod" in " ".join(sentences(found, 10 * S))


def test_ends_with_and_without_goaway_are_told_apart(tmp_path: Path) -> None:
    rows = [*calls("old", 3, 12), lost(12, pod="", conn=2), lost(13, Outcome.H2_GOAWAY, conn=0)]
    connections = [
        connection(0, 1, 12, "peer", "goaway"),
        connection(1, 1, 12, "peer", "fin"),
        connection(2, 1, 12, "network", "reset"),
        connection(3, 12, 13, "peer", "refused", hits=0),
        connection(4, 12),
    ]
    found = counted(tmp_path, rows, connections, OLD)
    assert (found.connections, found.goaway, found.unannounced, found.unannounced_lost) == (3, 1, 2, 1)
    assert found.turned_away == 1
    said = " ".join(sentences(found, 10 * S))
    assert "servers ended 1 connection by GOAWAY, 2 without it, 1 of these under a call that was lost" in said
    assert "1 call turned away by GOAWAY or REFUSED_STREAM: not processed" in said


def test_a_server_that_ends_connections_by_itself_has_a_maximum_age(tmp_path: Path) -> None:
    connections = [connection(n, n, n + 4, "peer", "goaway") for n in range(5)]
    found = counted(tmp_path, calls("old", 3, 50), connections, OLD)
    assert found.renewed_ns == 4 * S
    assert counted_nothing(tmp_path / "none").renewed_ns == 0


def counted_nothing(folder: Path) -> CallNumbers:
    folder.mkdir()
    return counted(folder, calls("old", 3, 50), [connection(0, 0.1)], OLD)


def test_long_calls_get_a_longer_age_and_grace(tmp_path: Path) -> None:
    rows = [*calls("old", 3, 50), hit(40, took=8.0, pod="old")]
    found = counted(tmp_path, rows, [connection(0, 0.1)], OLD, new(20))
    assert (found.age_s, found.grace_s) == (80, 16)


def test_what_mends_a_cause_is_said_in_grpcs_words() -> None:
    evidence = "so the app has to close it (`Connection: close` after SIGTERM), or the client ask again"
    mend = "on SIGTERM answer with `Connection: close`; preStop"
    cause = Cause(("C3",), "x", "exact", 1, {}, 0, 0, (), (evidence,), (mend,))
    found = of_calls(cause, direct=True)
    assert found.mend[0].startswith(
        "on SIGTERM send GOAWAY, take no new calls and let those in flight finish"
    )
    assert found.mend[0].endswith("; preStop")
    assert "Connection: close" not in found.evidence[0]


def test_shares_tell_which_pods_came_when(tmp_path: Path) -> None:
    rows = [*calls("old", 3, 26), *calls("new", 26, 50, conn=1), *calls("same", 3, 50, conn=2)]
    connections = [connection(0, 0.1, 26), connection(1, 26), connection(2, 0.1)]
    gone = replace(new(0, 1, "gone"), old=True)  # it had left before the load began
    pods = (OLD, new(20), new(-5, name="same"), gone, new(49, name="late"))
    found = counted(tmp_path, rows, connections, *pods)
    assert [pod.pod for pod in found.pods] == ["late", "new", "old", "same"]
    shares = {pod.pod: pod.shares for pod in found.pods}
    assert shares["new"] == (0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5)
    assert shares["old"] == (0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0)
    said = sentences(found, 10 * S)
    assert (
        "new (new, ready +10.0 s, first call +16.0 s):   0   0   0   0  50  50  50  50 %, 240 calls" in said
    )
    assert any(line.startswith("late (new, ready +39.0 s, no call):") for line in said)
    assert any(line.startswith("same (there before):") for line in said)
    assert any(line.startswith("old (old):") for line in said)


def test_answers_without_a_pod_among_others_are_nobodys(tmp_path: Path) -> None:
    rows = [*calls("old", 3, 50), *calls("", 3.05, 50, conn=1)]
    found = counted(tmp_path, rows, [connection(0, 0.1), connection(1, 0.1)], OLD, new(20))
    assert found.left_out == ("new",)
    assert [(pod.pod, pod.shares) for pod in found.pods] == [("new", (0.0,) * 8), ("old", (1.0,) * 8)]


def test_how_late_the_last_call_came_on_a_kept_connection_is_no_measure_of_a_pre_stop(tmp_path: Path) -> None:
    for grpc, found in (("", {"preStop"}), ("unary", set())):
        folder = SyntheticRun.rolling(3, prestop=6, direct=True).write(tmp_path / (grpc or "http"))
        recording = Recording.open(folder)
        direct = replace(recording.run, grpc=grpc, scenario={**recording.run.scenario, "balancer": "none"})
        (folder / "run.json").write_text(json.dumps(asdict(direct)))
        judged = judge(Recording.open(folder))
        assert {line.what for line in judged.headroom} & {"preStop"} == found
        assert bool(judged.curve) is bool(found)


def test_calls_that_the_server_itself_breaks_off_as_it_stops_need_more_than_a_pre_stop() -> None:
    def mended(ids: str, kind: str, *, direct: bool) -> bool:
        cause = Cause((ids,), "x", "exact", 1, {kind: 1}, 0, 0, (), (), ("preStop: sleep",))
        return any("GOAWAY" in line for line in of_calls(cause, direct=direct).mend)

    assert mended("B1", "UNAVAILABLE", direct=True)
    assert mended("B1", "CANCELLED", direct=True)
    assert not mended("B1", "connect_refused", direct=True)
    assert not mended("B1", "UNAVAILABLE", direct=False)
    assert not mended("A1", "UNAVAILABLE", direct=True)


def test_of_several_rollouts_each_has_its_calls_and_so_has_the_run(tmp_path: Path) -> None:
    drained = SyntheticRun.rolling(prestop=4, grace=20)
    folder = series(tmp_path, drained, drained)
    run = Recording.open(folder).run
    (folder / "run.json").write_text(json.dumps(asdict(replace(run, grpc="unary"))))
    told = judge(Recording.open(folder))
    assert told.calls is not None
    assert [one.calls is not None for one in told.rollouts] == [True, True]
    assert sum(pod.calls for pod in told.calls.pods) == told.numbers.named
    assert from_json(to_json(told)) == told
