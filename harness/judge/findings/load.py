"""The load itself: whether it was all sent, held, answered in order and recorded, and how it ended."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.judge.findings.finding import (
    ALIVE,
    ENDED,
    HELD,
    KEEPS_UP,
    PAIRED,
    RECORDED,
    SPARE,
    TOGETHER,
    WITHOUT_HOLE,
    Finding,
)
from harness.judge.numbers.hits import OWN_FAULT
from harness.judge.numbers.sending import HOLE_NS, LAG_LIMIT_NS, LATE_SHARE
from harness.judge.wording import at, count, lasting, place_of, share
from harness.model import NEVER, Grade, Mark, Outcome, Phase

if TYPE_CHECKING:
    from harness.judge.findings.case import Case

LAG_SHARE = 0.05
TAIL_NS = 5 * NS
LATE_START_NS = 20_000_000
UNSURE_NS = 50_000_000


def workers(case: Case) -> Finding:
    """Judge whether every worker lived to the end."""
    run = case.run
    gone = set(run.workers_lost) | (set(range(run.workers)) - set(case.workers))
    if run.ended_by != "worker_lost" and not gone:
        return Finding(ALIVE, f"{count(run.workers, 'worker')}", Grade.PASS)
    one = len(gone) <= 1
    # How many first, then which: workers are numbered from 0, and "0 lost" would read as none.
    how_many = f"{len(gone) or 'one'} of {count(run.workers, 'worker')}"
    numbers = ", ".join(f"{number}{place_of(run, number)}" for number in sorted(gone))
    which = f" (number{'' if one else 's'} {numbers})" if gone else ""
    fate = f"{'was' if one else 'were'} lost"
    if run.ended_by == "interrupted":  # a second Ctrl-C does not wait for workers
        fate = f"{'was' if one else 'were'} not waited for"
    observed = f"{how_many} {fate}{which}; what {'it' if one else 'they'} wrote until then is kept"
    return Finding(ALIVE, observed, Grade.INCONCLUSIVE)


def record(case: Case) -> Finding:
    """Check the rows against the workers' own counts and the end of the load: a file may be cut off.

    A slot always has a request in flight, or waits at most a second, so every worker's rows reach the end.
    """
    run, timeline, numbers, health = case.run, case.timeline, case.numbers, case.health
    objective = RECORDED
    counted = Counter[int]()
    for sample in health:
        counted[sample.worker] += sample.completed
    for found in numbers.workers:
        missing = counted[found.worker] - found.hits
        if missing > 0:
            return Finding(
                objective,
                f"worker {found.worker}{place_of(run, found.worker)} lacks {missing:,} of the rows it counted",
                Grade.INCONCLUSIVE,
            )
        if (
            case.streams is None
            and run.mark(Mark.LOAD_END) != NEVER
            and found.last_ns < timeline.load.to_ns - TAIL_NS
        ):
            ends = (at(t_ns, timeline.zero_ns) for t_ns in (found.last_ns, timeline.load.to_ns))
            observed = "worker {}'s rows{} end {}, the load ended {}".format(
                found.worker, place_of(run, found.worker), *ends
            )
            return Finding(objective, observed, Grade.INCONCLUSIVE)
    until = case.streams.until_ns if case.streams is not None else None
    if until is not None and run.mark(Mark.LOAD_END) != NEVER and until < timeline.load.to_ns - TAIL_NS:
        # A stream may bring nothing for long, but every one that is open at the end leaves a row then.
        ends = (at(t_ns, timeline.zero_ns) for t_ns in (until, timeline.load.to_ns))
        observed = "the rows of a worker's streams end {}, the load ended {}".format(*ends)
        return Finding(objective, observed, Grade.INCONCLUSIVE)
    return Finding(objective, f"{sum(found.hits for found in numbers.workers):,} rows", Grade.PASS)


def generator(case: Case) -> Finding | None:
    """Judge whether the generator kept up, by its own lag."""
    timeline, health, numbers = case.timeline, case.health, case.numbers
    objective = KEEPS_UP
    samples = [s for s in health if timeline.load.from_ns <= s.t_ns <= timeline.load.to_ns + NS]
    if not samples:
        if timeline.load.length_ns < 3 * NS or not numbers.requests:
            return None
        return Finding(objective, "the generator's own lag was not recorded", Grade.INCONCLUSIVE)
    seconds = Counter(sample.worker for sample in samples)
    slow = Counter(sample.worker for sample in samples if sample.lag_p99_ns > LAG_LIMIT_NS)
    worker, late = max(((w, slow[w] / n) for w, n in seconds.items()), key=lambda pair: (pair[1], -pair[0]))
    worst = lasting(max(sample.lag_p99_ns for sample in samples))
    if late > LAG_SHARE:
        observed = (
            f"saturated: p99 over {lasting(LAG_LIMIT_NS)} in {100 * late:.0f} % of "
            f"worker {worker}'s seconds{place_of(case.run, worker)} (worst {worst})"
        )
        return Finding(objective, observed, Grade.INCONCLUSIVE)
    return Finding(objective, f"worst second's p99 {worst}", Grade.PASS)


def end(case: Case) -> Finding:
    """Judge how the run ended."""
    run = case.run
    objective = ENDED
    if run.ended_by == "crash":
        early = "the run ended early: zdtest crashed, or its disk was full"
        return Finding(objective, early, Grade.INCONCLUSIVE)
    if run.state == "interrupted" or run.ended_by == "interrupted":
        return Finding(objective, "the run was interrupted", Grade.INCONCLUSIVE)
    if run.state != "complete":
        return Finding(
            objective,
            "the run has no end: it was killed, it crashed, or it is still running",
            Grade.INCONCLUSIVE,
        )
    return Finding(objective, run.ended_by.replace("_", " "), Grade.PASS)


def paired(case: Case) -> Finding | None:
    """Withhold the PASS if a connection brought an answer without a request; None if none did."""
    sent = case.sending
    if sent is None or sent.connections is None:
        return None
    ends = sent.connections.ends.get("us unasked", 0)
    if not ends:
        return None
    observed = (
        f"{count(ends, 'connection')} brought an answer that nobody had asked for: it is unknown which answer belongs "
        "to which request, so a good one may not be good"
    )
    return Finding(PAIRED, observed, Grade.INCONCLUSIVE)


def spare(case: Case) -> Finding | None:
    """Withhold the PASS if the host could not send; None if it always could."""
    numbers = case.numbers
    kinds = {kind.kind: kind.count for kind in numbers.kinds if kind.kind in OWN_FAULT}
    if not kinds:
        return None
    by_kind = ", ".join(f"{kind}: {n:,}" for kind, n in kinds.items())
    fix = (
        "raise `ulimit -n`" if Outcome.NO_DESCRIPTOR.value in kinds else "widen net.ipv4.ip_local_port_range"
    )
    return Finding(
        SPARE,
        f"{count(sum(kinds.values()), 'request')} could not be sent ({by_kind}): {fix}",
        Grade.INCONCLUSIVE,
    )


def hole(case: Case) -> Finding | None:
    """Withhold the PASS if the generator stood still, so that there was no load for a while."""
    if case.sending is None:
        return None
    run, timeline = case.run, case.timeline
    span = timeline.phase(Phase.DURING) if run.rollout_wanted else timeline.load
    holes = [
        stall
        for stall in case.sending.stalls
        if stall.lag_max_ns > HOLE_NS and span and stall.to_ns > span.from_ns and stall.from_ns < span.to_ns
    ]
    if not holes:
        return None
    worst = max(holes, key=lambda stall: stall.lag_max_ns)
    observed = (
        f"the load generator stood still {count(len(holes), 'time')}, at worst for {lasting(worst.lag_max_ns)} at "
        f"{at(worst.from_ns, timeline.zero_ns)}: nothing was sent in that time, so "
        "a failure then would have gone unseen"
    )
    return Finding(WITHOUT_HOLE, observed, Grade.INCONCLUSIVE)


def held(case: Case) -> Finding | None:
    """Judge whether the requested rate was held."""
    loop = case.sending.open_loop if case.sending else None
    if loop is None:
        return None
    if loop.dropped:
        observed = (
            f"{loop.dropped:,} of {loop.due:,} requests that were due were never "
            "sent, because every connection was busy "
            f"for {lasting(loop.dropped_after_ns)} or more: raise -c, or lower --rate"
        )
        return Finding(HELD, observed, Grade.INCONCLUSIVE)
    late = f"{loop.late:,} of {loop.due:,} sent later ({share(loop.late, loop.due)})"
    if loop.late:
        late += f", the worst {lasting(loop.late_max_ns)}"
    if loop.late > LATE_SHARE * loop.due:
        return Finding(HELD, f"{late}: raise -c, or lower --rate", Grade.INCONCLUSIVE)
    return Finding(HELD, late if loop.late else f"all {loop.due:,}", Grade.PASS)


def together(case: Case) -> Finding | None:
    """Withhold the PASS if a worker began late, or nobody knows when; None if all workers were on one machine."""
    clocks = case.run.worker_clocks
    if not clocks:
        return None
    latest = max(clocks, key=lambda one: one.late_ns)
    unsure = max(clocks, key=lambda one: one.uncertainty_ns)
    if latest.late_ns > LATE_START_NS:
        late = sum(one.late_ns > LATE_START_NS for one in clocks)
        observed = (
            f"{late:,} of {count(len(clocks), 'worker')} began over {lasting(LATE_START_NS)} late, the last "
            f"{lasting(latest.late_ns)}: worker {latest.worker}{place_of(case.run, latest.worker)}"
        )
        return Finding(TOGETHER, observed, Grade.INCONCLUSIVE)
    if unsure.uncertainty_ns > UNSURE_NS:
        observed = (
            f"the clock of worker {unsure.worker}{place_of(case.run, unsure.worker)} is known to within "
            f"{lasting(unsure.uncertainty_ns)} only"
        )
        return Finding(TOGETHER, observed, Grade.INCONCLUSIVE)
    observed = (
        f"the last {lasting(latest.late_ns)} late; clocks known to within {lasting(unsure.uncertainty_ns)}"
    )
    return Finding(TOGETHER, observed, Grade.PASS)
