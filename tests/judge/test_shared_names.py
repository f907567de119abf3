"""A StatefulSet's new pods have the names of the old ones: what an answer's name tells is told of the right life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from harness.judge.verdict.judgement import judge, judge_with_picture
from harness.model import Grade, Outcome
from harness.recording.read import Recording
from tests.judge.synthetic import FakePod, SyntheticRun, end, write_hits
from tests.judge.test_rollouts import series

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.verdict.judgement import Judgement


@dataclass
class Ordinal(FakePod):
    """A pod of a StatefulSet: another one of its name comes when it has gone."""

    rollout: int = 1

    @property
    def uid(self) -> str:
        return f"uid-{self.name}-{'old' if self.old else 'new'}-{self.rollout}"


def stateful(prestop: int = 0, rollout: int = 1, **rest: Any) -> SyntheticRun:
    """Three pods, replaced from the last to the first, each new one when the old one of its name has gone."""
    olds: list[FakePod] = []
    news: list[FakePod] = []
    deleted = 0.2
    for number in (2, 1, 0):
        old = Ordinal(
            f"web-{number}",
            old=True,
            prestop=prestop,
            rollout=rollout,
            address=f"10.{rollout}.0.{10 + number}",
        )
        old.deleted = deleted
        end(old)
        assert old.gone is not None
        new = Ordinal(
            f"web-{number}",
            old=False,
            created=old.gone + 0.05,
            rollout=rollout,
            address=f"10.{rollout}.1.{10 + number}",
        )
        new.started, new.listens = new.created + 0.8, new.created + 1.8
        new.ready, new.enters = new.created + 2.3, new.created + 2.35
        olds.append(old)
        news.append(new)
        deleted = new.ready + 0.2
    return SyntheticRun(pods=olds + news, **rest)


def judged(tmp_path: Path, run: SyntheticRun, rows: list[dict[str, Any]] | None = None) -> Judgement:
    path = run.write(tmp_path)
    if rows is not None:
        write_hits(path / "hits" / "0.arrow", rows)
    return judge(Recording.open(path))


def test_a_clean_rollout_of_a_statefulset_passes(tmp_path: Path) -> None:
    found = judged(tmp_path, stateful(prestop=4))
    assert found.grade is Grade.PASS, found.verdict.findings
    assert {pod.name for pod in found.timeline.pods} == {
        f"web-{n}{life}" for n in range(3) for life in ("", " (2)")
    }
    assert {pod.first_good_ns is not None for pod in found.numbers.pods} == {True}


@pytest.mark.parametrize("direct", [False, True], ids=["through a balancer", "straight to the pods"])
def test_what_an_old_pod_lost_is_not_taken_for_the_new_one_s_of_its_name(
    tmp_path: Path, *, direct: bool
) -> None:
    run = stateful(direct=direct)
    found = judged(tmp_path, run)
    lost = sum(run.truth.values())
    assert [(cause.ids, cause.hits) for cause in found.causes] == [(("B1",), lost)]
    assert {share.old for share in found.causes[0].pods} == {True}


def test_a_cache_of_a_statefulset_s_answers_withholds_the_pass(tmp_path: Path) -> None:
    """Every answer names web-0, while it is away too."""
    run = stateful(prestop=4)
    rows = run.hits()
    for row in rows:
        row.update(status=200, outcome=Outcome.RESPONSE, pod="web-0")
    found = judged(tmp_path, run, rows)
    assert found.grade is Grade.INCONCLUSIVE
    assert "a cache answers" in found.verdict.headline


def test_what_pods_of_one_name_lost_in_several_rollouts_is_told_of_each_by_its_name_in_the_whole_run(
    tmp_path: Path,
) -> None:
    path = series(tmp_path, stateful(prestop=4), stateful(rollout=2), named=True)
    found, picture = judge_with_picture(Recording.open(path))
    (cause,) = found.causes
    names = {pod.uid: pod.name for pod in found.timeline.pods}
    assert {share.pod for share in cause.pods} == {names[f"uid-web-{n}-old-2"] for n in range(3)}
    assert "web-0" not in {share.pod for share in cause.pods}  # the first of that name, which lost nothing
    known = picture.failures.pods
    assert {known[place] for place in picture.failures.pods_of(cause.ids)} == {
        share.pod for share in cause.pods
    }
