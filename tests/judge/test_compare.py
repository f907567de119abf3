"""Two runs side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.judge import odds
from harness.judge.verdict.compare import Comparison, compare
from harness.judge.verdict.fieldchanges import field_changes
from harness.judge.verdict.judgement import judge
from harness.model import Mark
from harness.recording.read import Recording
from tests.judge.synthetic import SyntheticRun
from tests.judge.test_rollouts import clean, lossy, series

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def compared(tmp_path: Path, before: SyntheticRun, after: SyntheticRun) -> Comparison:
    one, two = (Recording.open(run.write(tmp_path / name)) for name, run in (("a", before), ("b", after)))
    return compare(judge(one), judge(two), one.manifests("before"), two.manifests("before"))


def test_two_steps_of_a_ladder_differ_in_numbers_and_in_the_manifest_field_by_field(tmp_path: Path) -> None:
    found = compared(tmp_path, SyntheticRun.rolling(), SyntheticRun.rolling(prestop=4, grace=20))
    rows = {row.name.strip(): row for row in found.rows}
    assert (rows["verdict"].before, rows["verdict"].after) == ("FAIL", "PASS")
    assert int(rows["502"].before.replace(",", "")) > 0
    assert rows["502"].after == "0"
    assert rows["longest outage"].after == "0"
    assert rows["requests/s"].change.endswith("%")
    assert [(change.path, change.before, change.after) for change in found.manifest] == [
        (
            "Deployment spec.template.spec.containers[web].lifecycle.preStop.exec.command",
            "(absent)",
            "/bin/sh -c sleep 4",
        ),
        ("Deployment spec.template.spec.terminationGracePeriodSeconds", "30", "20"),
    ]


def test_one_rollout_against_one_can_never_be_told_from_chance(tmp_path: Path) -> None:
    found = compared(tmp_path, SyntheticRun.rolling(), SyntheticRun.rolling(prestop=4, grace=20))
    assert "1 rollout against 1: cannot be told from chance (least possible p = 1.00" in found.sentence
    assert "4 rollouts each could (p = 0.03)" in found.sentence


def test_a_run_without_its_rollout_is_not_compared_as_one(tmp_path: Path) -> None:
    run = SyntheticRun.rolling().run()
    early = tuple(mark for mark in run.marks if mark.mark is not Mark.ENDPOINTS_SETTLED)
    found = compared(tmp_path, SyntheticRun.rolling(), SyntheticRun.rolling(record={"marks": early}))
    assert found.sentence.startswith("Not comparable as rollouts: 1 of the runs saw no rollout to its end")


def of_runs(tmp_path: Path, before: Sequence[SyntheticRun], after: Sequence[SyntheticRun]) -> Comparison:
    one, two = (series(tmp_path / name, *rollouts) for name, rollouts in (("a", before), ("b", after)))
    return compare(judge(Recording.open(one)), judge(Recording.open(two)))


def test_several_rollouts_of_a_run_are_compared_each_by_itself(tmp_path: Path) -> None:
    found = of_runs(tmp_path, [lossy() for _ in range(4)], [clean() for _ in range(4)])
    rows = {row.name.strip(): row for row in found.rows}
    assert (rows["rollouts that lost requests"].before, rows["rollouts that lost requests"].after) == (
        "4 of 4",
        "0 of 4",
    )
    assert "-" not in {rows["rollout to the end, median"].before, rows["`rollout status`, median"].after}
    assert found.sentence == (
        "4 of 4 rollouts lost requests against 0 of 4: more than chance "
        "(p = 0.029, Fisher's exact test; the unit is the rollout, not the request)."
    )


def test_too_few_rollouts_are_said_to_be_too_few(tmp_path: Path) -> None:
    found = of_runs(tmp_path, [lossy(), lossy()], [clean(), clean()])
    assert "2 rollouts against 2: cannot be told from chance (least possible p = 0.33" in found.sentence


def test_enough_rollouts_that_differ_by_chance_are_not_called_different(tmp_path: Path) -> None:
    found = of_runs(tmp_path, [lossy(), clean(), clean(), clean()], [clean() for _ in range(4)])
    assert found.sentence.startswith(
        "1 of 4 rollouts lost requests against 0 of 4: cannot be told from chance (p = 1,"
    )


def test_a_rollout_that_was_not_seen_to_its_end_is_left_out_of_the_test_and_named(tmp_path: Path) -> None:
    last = lossy()
    marks = tuple(mark for mark in last.run().marks if mark.mark is not Mark.ENDPOINTS_SETTLED)
    last.record["marks"] = marks
    found = of_runs(tmp_path, [*(lossy() for _ in range(4)), last], [clean() for _ in range(4)])
    assert found.sentence.startswith("4 of 4 rollouts lost requests against 0 of 4: more than chance")
    assert found.sentence.endswith("1 rollout not seen to the end is left out.")


@pytest.mark.parametrize(
    ("bad", "of", "others", "of_others"),
    [(3, 10, 0, 10), (5, 5, 0, 3), (2, 7, 6, 9), (0, 4, 0, 9), (6, 6, 6, 6)],
)
def test_the_exact_test_agrees_with_scipys(bad: int, of: int, others: int, of_others: int) -> None:
    from scipy import stats

    known = stats.fisher_exact([[bad, of - bad], [others, of_others - others]]).pvalue
    assert odds.shares_p(bad, of, others, of_others) == pytest.approx(known)


def test_manifests_that_were_not_kept_are_not_called_equal(tmp_path: Path) -> None:
    path = SyntheticRun.rolling().write(tmp_path)
    found = judge(Recording.open(path))
    assert compare(found, found).manifest_note == "Manifest: not kept by either run"
    assert compare(found, found, [{"kind": "A"}], []).manifest_note == "Manifest: not kept by one of the runs"
    assert compare(found, found, [{"kind": "A"}], [{"kind": "A"}]).manifest_note == "Manifest: no difference"


def test_what_the_server_writes_is_no_difference() -> None:
    def deployment(revision: str, image: str) -> dict[str, object]:
        return {
            "kind": "Deployment",
            "metadata": {
                "name": "web",
                "uid": revision,
                "resourceVersion": revision,
                "annotations": {"deployment.kubernetes.io/revision": revision},
            },
            "status": {"replicas": revision},
            "spec": {
                "template": {
                    "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": revision}},
                    "spec": {"containers": [{"name": "web", "image": image}]},
                }
            },
        }

    assert field_changes([deployment("1", "web:1")], [deployment("2", "web:1")]) == ()
    (change,) = field_changes([deployment("1", "web:1")], [deployment("2", "web:2")])
    assert (change.path, change.before, change.after) == (
        "Deployment spec.template.spec.containers[web].image",
        "web:1",
        "web:2",
    )


def test_containers_are_matched_by_name_not_by_place() -> None:
    def pod(*names: str) -> dict[str, object]:
        return {
            "kind": "Pod",
            "metadata": {"name": "x"},
            "spec": {"containers": [{"name": n, "image": n} for n in names]},
        }

    assert field_changes([pod("a", "b")], [pod("b", "a")]) == ()


def test_several_objects_of_a_kind_are_told_apart_by_name() -> None:
    def service(name: str, port: int) -> dict[str, object]:
        return {"kind": "Service", "metadata": {"name": name}, "spec": {"port": port}}

    changes = field_changes([service("a", 1), service("b", 2)], [service("a", 1), service("b", 3)])
    assert [(change.path, change.after) for change in changes] == [("Service/b spec.port", "3")]
