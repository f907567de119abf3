"""What became of a run, from how its process ended, and what a whole suite exits with. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.cluster.permission.lock import HELD
from harness.judge.wording import count, lasting
from harness.model import ExitCode, Grade
from harness.recording.series.suite import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

_CODES = {
    Result.PASS: ExitCode.PASS,
    Result.FAIL: ExitCode.FAIL,
    Result.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    Result.BUSY: ExitCode.INCONCLUSIVE,
    Result.REFUSED: ExitCode.USAGE,
    Result.CRASHED: ExitCode.CRASH,
    Result.KILLED: ExitCode.CRASH,
    Result.TIMED_OUT: ExitCode.CRASH,
    Result.INTERRUPTED: ExitCode.INTERRUPTED,
}
# The worst first: a lost request outranks every doubt; then what is broken, whatever the service does.
WORST = (ExitCode.FAIL, ExitCode.CRASH, ExitCode.USAGE, ExitCode.INCONCLUSIVE, ExitCode.PASS)
_VERDICT_CODES = frozenset({ExitCode.PASS, ExitCode.FAIL, ExitCode.INCONCLUSIVE})


@dataclass(frozen=True, slots=True)
class Ended:
    """How the process of a run ended. exit_code: negative for a signal, as Python has it."""

    exit_code: int
    took_s: float
    timed_out: bool = False
    interrupted: bool = False  # the suite was, and so it ended this run


def result(ended: Ended, grade: str, last_line: str, headline: str, limit_s: float) -> tuple[Result, str]:
    """Return what became of a run, and that in words. `grade` is of its verdict.json; `last_line` is what it said last.

    What was lost is lost: a run that was ended by its limit, and whose recording shows a loss, is a FAIL.
    """
    so_far = f"; until then: {headline}" if headline else ""
    late = f"it did not end within {lasting(limit_s * NS)}, and was ended"
    if grade and ended.exit_code in _VERDICT_CODES and not ended.timed_out:
        return Result(grade), headline
    if ended.interrupted:
        return Result.INTERRUPTED, f"the suite was interrupted{so_far}"
    if ended.timed_out:
        return (Result.FAIL, f"{headline}; {late}") if grade == Grade.FAIL else (Result.TIMED_OUT, late)
    return _without_a_verdict(ended.exit_code, last_line.removeprefix("zdtest: "), so_far)


def _without_a_verdict(code: int, said: str, so_far: str) -> tuple[Result, str]:
    if code == ExitCode.USAGE:
        return (Result.BUSY if said.startswith(HELD) else Result.REFUSED), said or "it gave no reason"
    if code < 0:
        return Result.KILLED, f"its process was ended by {_signal(-code)}"
    if code == ExitCode.INTERRUPTED:
        return Result.KILLED, f"somebody else interrupted it{so_far}"
    return Result.CRASHED, said or f"it ended with exit code {code} and no verdict"


def worst(results: Sequence[Result], *, interrupted: bool) -> int:
    """Return the exit code of a suite: 130 if it was interrupted, else its worst run's."""
    if interrupted:
        return ExitCode.INTERRUPTED
    codes = {_CODES[one] for one in results if one in _CODES}
    return next((code for code in WORST if code in codes), ExitCode.PASS)


def headline(results: Sequence[Result]) -> str:
    """Say in one sentence how a suite went."""
    lost, of = results.count(Result.FAIL), len(results)
    passed, open_ = results.count(Result.PASS), results.count(Result.INCONCLUSIVE)
    out = results.count(Result.LEFT_OUT)
    without = of - lost - passed - open_ - out
    if lost:
        text = f"{lost:,} of {count(of, 'scenario')} lost requests"
    elif passed == of:
        text = "the scenario passed" if of == 1 else f"all {of:,} scenarios passed"
    else:
        text = f"{passed or 'none'} of {count(of, 'scenario')} passed, no loss was seen"
    rest = (
        f"{open_:,} proved nothing" if open_ else "",
        f"{without:,} ended without a verdict" if without else "",
        f"{out:,} did not fit into the budget" if out else "",
    )
    return "; ".join([text, *filter(None, rest)])


def _signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name} (out of memory, or killed by hand)" if number == signal.SIGKILL else name
