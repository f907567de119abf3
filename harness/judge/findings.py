"""Numbers x objectives -> findings -> the grade. One function per objective; none of them knows the others.

FAIL beats INCONCLUSIVE beats PASS: what makes a run untrustworthy withholds a PASS and never erases a lost
request that was seen. A run without a rollout is judged whole: any failed hit after the warm-up is a FAIL.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.judge import answers, coverage, objectives, pathproof, sending, unanswered, unasked
from harness.judge.finding import ALIVE, BASELINE, ENDED, KEEPS_UP, RECORDED, UP, Finding, Verdict
from harness.judge.headline import blamed, bound, headline
from harness.judge.loadhost import of_the_host
from harness.judge.lost import lost_requests
from harness.judge.replacing import replaced
from harness.judge.wording import at, count, lasting, share
from harness.model import NEVER, Grade, Mark, Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.judge.answers import Usual
    from harness.judge.background import Background
    from harness.judge.measured import Measured
    from harness.judge.sending import Sending
    from harness.judge.summary import Numbers
    from harness.judge.timeline import Timeline
    from harness.judge.unanswered import Unanswered
    from harness.model import HealthSample, RunRecord

LAG_LIMIT_NS = 50_000_000
LAG_SHARE = 0.05
TAIL_NS = 5 * NS


def decide(
    *,
    run: RunRecord,
    timeline: Timeline,
    numbers: Numbers,
    health: Sequence[HealthSample],
    workers: Sequence[int],
    out: Unanswered | None,
    background: Background,
    usual: Usual,
    measured: Measured | None = None,
    whole: bool = True,
    sent: Sending | None = None,
    doubts: Sequence[Finding | None] = (),
) -> Verdict:
    """Grade a run, by its own objectives where it has any. `out` are the hits that were still out at the end.

    `usual` is what good answers take before the trigger.
    `doubts` are findings about the answers themselves, made where the hits are at hand.

    With `whole` False it is one rollout of several, and what is asked of the run as a whole is left to `of_the_run`.
    """
    lost, against = lost_requests(run, timeline, numbers, background)
    default = replaced(
        run,
        numbers,
        against,
        lambda left: lost_requests(run, timeline, left, background.within(left.parts))[1],
        background.suspected,
        lost,
    )
    own = objectives.findings(run, numbers, measured, lost) if whole else ()
    findings = [*default, *own, _service(run), answers.finding(numbers, usual, rollout=run.rollout_wanted)]
    if run.rollout_wanted:
        findings += [
            _baseline(run, numbers),
            pathproof.finding(run, timeline, numbers),
            coverage.rollout(run, timeline),
            coverage.watch(run, timeline, numbers),
        ]
    findings.append(
        unanswered.finding(
            out, numbers, timeline, health, rollout=run.rollout_wanted, lag_limit_ns=LAG_LIMIT_NS
        )
    )
    findings += doubts
    if whole:
        findings += of_the_run(run, timeline, numbers, health, workers, sent)
    kept = tuple(finding for finding in findings if finding is not None)
    grades = {finding.grade for finding in kept}
    grade = next(g for g in (Grade.FAIL, Grade.INCONCLUSIVE, Grade.PASS) if g in grades)
    return Verdict(
        grade=grade,
        headline=headline(grade, kept, lost, run, numbers, timeline, background),
        findings=kept,
        lost=lost,
        of=numbers.requests,
        bound=bound(run, timeline, numbers)
        if not lost and grade is not Grade.FAIL and numbers.requests
        else "",
        kinds=blamed(run, numbers, background),
    )


def of_the_run(
    run: RunRecord,
    timeline: Timeline,
    numbers: Numbers,
    health: Sequence[HealthSample],
    workers: Sequence[int],
    sent: Sending | None = None,
) -> tuple[Finding, ...]:
    """Judge what is one thing for the whole run: the generator, the record, the end."""
    findings = (
        _workers(run, workers),
        unasked.finding(sent),
        of_the_host(numbers),
        _record(run, timeline, numbers, health),
        _generator(timeline, health, numbers),
        *sending.findings(sent, run, timeline),
        _end(run),
    )
    return tuple(finding for finding in findings if finding is not None)


def _service(run: RunRecord) -> Finding | None:
    if run.ended_by != "service_down":
        return None
    return Finding(UP, "over half of all requests failed for 30 s; the load was stopped", Grade.FAIL)


def _baseline(run: RunRecord, numbers: Numbers) -> Finding:
    objective = f"{BASELINE} (at most {100 * run.max_baseline_failures:g} % fail before the trigger)"
    part = numbers.part(Phase.BEFORE)
    if part is None or not part.requests:
        return Finding(objective, "nothing was measured before the trigger", Grade.INCONCLUSIVE)
    observed = f"{part.failed:,} of {part.requests:,} failed ({share(part.failed, part.requests)})"
    sound = part.failed <= run.max_baseline_failures * part.requests and run.ended_by != "baseline_unsound"
    if not sound and run.ended_by == "baseline_unsound":
        observed += "; nothing was patched"
    return Finding(objective, observed, Grade.PASS if sound else Grade.INCONCLUSIVE)


def _workers(run: RunRecord, workers: Sequence[int]) -> Finding:
    gone = set(run.workers_lost) | (set(range(run.workers)) - set(workers))
    if run.ended_by != "worker_lost" and not gone:
        return Finding(ALIVE, f"{count(run.workers, 'worker')}", Grade.PASS)
    one = len(gone) <= 1
    # How many first, then which: workers are numbered from 0, and "0 lost" would be read as none.
    how_many = f"{len(gone) or 'one'} of {count(run.workers, 'worker')}"
    numbers = ", ".join(map(str, sorted(gone)))
    which = f" (number{'' if one else 's'} {numbers})" if gone else ""
    fate = f"{'was' if one else 'were'} lost"
    if run.ended_by == "interrupted":  # a second Ctrl-C waits for nobody
        fate = f"{'was' if one else 'were'} not waited for"
    observed = f"{how_many} {fate}{which}; what {'it' if one else 'they'} wrote until then is kept"
    return Finding(ALIVE, observed, Grade.INCONCLUSIVE)


def _record(
    run: RunRecord, timeline: Timeline, numbers: Numbers, health: Iterable[HealthSample]
) -> Finding | None:
    """Check the rows against the workers' own counts, and against the end of the load: a file may be cut off.

    A slot always has a request under way, or waits a second at most, so every worker's rows reach the end.
    """
    objective = RECORDED
    counted = Counter[int]()
    for sample in health:
        counted[sample.worker] += sample.completed
    for found in numbers.workers:
        missing = counted[found.worker] - found.hits
        if missing > 0:
            return Finding(
                objective, f"worker {found.worker} lacks {missing:,} of those it counted", Grade.INCONCLUSIVE
            )
        if run.mark(Mark.LOAD_END) != NEVER and found.last_ns < timeline.load.to_ns - TAIL_NS:
            ends = (at(t_ns, timeline.zero_ns) for t_ns in (found.last_ns, timeline.load.to_ns))
            observed = "worker {}'s rows end {}, the load ended {}".format(found.worker, *ends)
            return Finding(objective, observed, Grade.INCONCLUSIVE)
    return Finding(objective, f"{sum(found.hits for found in numbers.workers):,} rows", Grade.PASS)


def _generator(timeline: Timeline, health: Iterable[HealthSample], numbers: Numbers) -> Finding | None:
    objective = KEEPS_UP
    samples = [s for s in health if timeline.load.from_ns <= s.t_ns <= timeline.load.to_ns + NS]
    if not samples:
        if timeline.load.length_ns < 3 * NS or not numbers.requests:
            return None
        return Finding(objective, "its own health was not recorded", Grade.INCONCLUSIVE)
    seconds = Counter(sample.worker for sample in samples)
    slow = Counter(sample.worker for sample in samples if sample.lag_p99_ns > LAG_LIMIT_NS)
    worker, late = max(((w, slow[w] / n) for w, n in seconds.items()), key=lambda pair: (pair[1], -pair[0]))
    worst = lasting(max(sample.lag_p99_ns for sample in samples))
    if late > LAG_SHARE:
        observed = f"saturated: p99 over {lasting(LAG_LIMIT_NS)} in {100 * late:.0f} % of worker {worker}'s seconds (worst {worst})"
        return Finding(objective, observed, Grade.INCONCLUSIVE)
    return Finding(objective, f"worst second's p99 {worst}", Grade.PASS)


def _end(run: RunRecord) -> Finding:
    objective = ENDED
    if run.ended_by == "crash":
        early = "it ended early: zdtest crashed, or its disk took no more"
        return Finding(objective, early, Grade.INCONCLUSIVE)
    if run.state == "interrupted" or run.ended_by == "interrupted":
        return Finding(objective, "it was interrupted", Grade.INCONCLUSIVE)
    if run.state != "complete":
        return Finding(
            objective, "it ended without a word: killed, crashed, or still running", Grade.INCONCLUSIVE
        )
    return Finding(objective, run.ended_by.replace("_", " "), Grade.PASS)
