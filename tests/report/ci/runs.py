"""Judgements of all sorts for the tests of outputs, and text that means something to every format."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from harness.judge.verdict.judgement import Judgement, judge
from harness.recording.read import Recording
from tests.judge.synthetic import SyntheticRun
from tests.judge.test_rollouts import clean, lossy, series

HOSTILE = (
    "a\x00b\x1b[31m\x85\ufffe\ud800\u202e ]]> <script>alert(1)</script> &amp; \"q\" 'q' | `code` ```\n::error::x\n"
    '# TYPE a gauge\n{evil="1"} \\ %0A ##[error]y'
)
KINDS = ("lossy", "clean", "unsound", "in doubt", "several", "no rollout", "empty")

__all__ = ["HOSTILE", "KINDS", "hostile", "judged", "recorded"]
_WAYS: dict[str, dict[str, Any]] = {
    "lossy": {},
    "clean": {"prestop": 4, "grace": 20},
    "unsound": {"noise": 0.05},
    "in doubt": {"prestop": 4, "grace": 20, "names_pods": False, "health": False, "record": {"path": None}},
    "no rollout": {
        "noise": 0.01,
        "record": {"rollout_wanted": False, "rollout": None, "cluster": None, "marks": ()},
    },
    "empty": {"load_after": -11.9, "health": False},
}


def recorded(kind: str, root: Path) -> Path:
    """Write a run of this kind, and return its folder."""
    if kind == "several":
        return series(root, lossy(), clean())
    return SyntheticRun.rolling(2, **_WAYS[kind]).write(root)


@cache
def judged(kind: str) -> Judgement:
    """Return the judgement of such a run."""
    return judge(Recording.open(recorded(kind, Path(mkdtemp(prefix="zdtest-ci-")))))


def hostile(kind: str) -> Judgement:
    """Return a judgement with HOSTILE wherever foreign text may stand."""
    found = judged(kind)
    return replace(
        found,
        about=replace(
            found.about,
            name=HOSTILE,
            folder=HOSTILE,
            workload=HOSTILE,
            trigger=HOSTILE,
            began=HOSTILE,
            version=HOSTILE,
            targets=(HOSTILE,),
        ),
        verdict=replace(
            found.verdict,
            headline=HOSTILE,
            findings=tuple(replace(f, observed=HOSTILE) for f in found.verdict.findings),
            kinds={HOSTILE: 1},
        ),
        causes=tuple(
            replace(c, name=HOSTILE, evidence=(HOSTILE,), mend=(HOSTILE,), kinds={HOSTILE: 1})
            for c in found.causes
        ),
        timeline=replace(
            found.timeline, pods=tuple(replace(pod, name=HOSTILE) for pod in found.timeline.pods)
        ),
        numbers=replace(
            found.numbers,
            seconds=tuple(replace(row, failed={HOSTILE: 1}) for row in found.numbers.seconds),
            parts=tuple(replace(part, kinds={HOSTILE: 1}) for part in found.numbers.parts),
            statuses={HOSTILE: 1},
            kinds=tuple(replace(kind_, kind=HOSTILE) for kind_ in found.numbers.kinds),
        ),
        notes=(HOSTILE,),
    )
