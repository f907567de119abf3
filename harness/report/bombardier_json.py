"""A run as the JSON that `bombardier -o json` writes, for tools that read that format. One line.

Times are in us. Counts follow zdtest's definitions (no warm-up, no request sent twice); `errors` are outcomes by
name, and `rps` is taken over whole seconds of the load. `spec` is the configuration, `result` the outcome. `spec` has
room for one target: of several, it names the first.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.model import Outcome
from harness.report import bombardier

if TYPE_CHECKING:
    from harness.judge.verdict.judgement import Judgement
    from harness.recording.read import Recording

_RANKS = (50, 75, 90, 95, 99)


def render(judgement: Judgement, recording: Recording, *, latencies: bool) -> str:
    """Return the line, without its end."""
    run, numbers = recording.run, judgement.numbers
    shown = bombardier.of(numbers, latencies=latencies)
    classes = {f"req{name}": shown.classes.get(name, 0) for name in ("1xx", "2xx", "3xx", "4xx", "5xx")}
    read, written = _bytes(judgement, recording)
    result: dict[str, Any] = {
        "bytesRead": read,
        "bytesWritten": written,
        "timeTakenSeconds": numbers.elapsed_ns / NS,
        **classes,
        "others": shown.classes.get("others", 0),
    }
    if shown.errors:
        result["errors"] = [{"description": name, "count": count} for name, count in shown.errors.items()]
    if shown.latency_us:
        row = shown.latency_us
        result["latency"] = {"mean": row.mean, "stddev": row.stdev, "max": row.max}
        if shown.percentiles_us:
            result["latency"]["percentiles"] = {p: round(us) for p, us in shown.percentiles_us.items()}
    if shown.rates:
        rates = {"mean": shown.rates.mean, "stddev": shown.rates.stdev, "max": shown.rates.max}
        result["rps"] = {**rates, "percentiles": _of_rates(judgement)}
    target = run.targets[0]
    asked_ns = (run.scenario.get("load") or {}).get("duration", numbers.elapsed_ns)
    spec: dict[str, Any] = {
        "numberOfConnections": run.concurrency,
        "testType": "timed",
        "testDurationSeconds": _number(asked_ns / NS),
        "method": target["method"],
        "url": target["url"],
        "body": "",  # a secret, as header values are
        "stream": False,
        "timeoutSeconds": _number(run.timeout_ns / NS),
        "client": f"zdtest {judgement.about.version}",
    }
    if run.rate is not None:
        spec["rate"] = _number(run.rate)
    return json.dumps({"spec": spec, "result": result}, separators=(",", ":"))


def _number(value: float) -> float:
    """Return a whole number as an int: bombardier's rate is a uint64, and Go cannot read 50.0 as one."""
    return int(value) if value == int(value) else value


def _bytes(judgement: Judgement, recording: Recording) -> tuple[int, int]:
    """Add up the bytes on the wire of complete responses and their requests, in the judged part of the run."""
    judged = judgement.timeline.judged
    received = sent = 0
    for stretch in recording.stretches():
        rows = recording.hits(("done_ns", "outcome", "bytes_in", "bytes_out", "stands_for"), stretch)
        done = rows["done_ns"].to_numpy()
        inside = (done >= judged.from_ns) & (done < judged.to_ns)
        inside &= (rows["outcome"] == Outcome.RESPONSE.value).to_numpy()
        weights = rows["stands_for"].to_numpy()[inside].astype("int64")
        received += int((rows["bytes_in"].to_numpy()[inside] * weights).sum())
        sent += int((rows["bytes_out"].to_numpy()[inside] * weights).sum())
    return received, sent


def _of_rates(judgement: Judgement) -> dict[str, float]:
    zero_ns, load = judgement.timeline.zero_ns, judgement.timeline.load
    whole = sorted(
        row.completed
        for row in judgement.numbers.seconds
        if load.from_ns <= zero_ns + row.second * NS and zero_ns + (row.second + 1) * NS <= load.to_ns
    )
    return {str(p): float(whole[(len(whole) - 1) * p // 100]) for p in _RANKS} if whole else {}
