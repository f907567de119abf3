"""The ids that a hit carries to the servers' logs, which its row gives back: no column holds them.

All of them are made of the run, the worker and the hit's `seq`, in hexadecimal digits of fixed width:

    run     16 digits  the first 8 bytes of BLAKE2b over "<wall_ns>:<monotonic_ns>" of run.json
    worker   4 digits  the row's worker
    seq     12 digits  the row's seq

    X-Request-ID     <run><worker><seq>
    X-Amzn-Trace-Id  Root=1-<seconds of wall_ns, 8 digits>-<first 8 digits of run><worker><seq>
    {uuid}           <run 1-8>-<run 9-12>-8<run 13-15>-8<worker 2-4>-<seq>, a version 8 UUID
    {seq}            <worker, 2 decimal digits><seq, 10 decimal digits>

A Root is what AWS documents for its trace header (version, time, 96 bits): an ALB keeps it as it is and logs it.
"""

from __future__ import annotations

from hashlib import blake2b

from harness.clock import NS


def run_digits(wall_ns: int, monotonic_ns: int) -> str:
    """Return the 16 digits that stand for a run."""
    return blake2b(f"{wall_ns}:{monotonic_ns}".encode(), digest_size=8).hexdigest()


def request_id(wall_ns: int, monotonic_ns: int, worker: int, seq: int) -> str:
    """Return the X-Request-ID of the hit with this row, `wall_ns` and `monotonic_ns` being run.json's."""
    return f"{run_digits(wall_ns, monotonic_ns)}{worker:04x}{seq:012x}"


def amzn_trace_id(wall_ns: int, monotonic_ns: int, worker: int, seq: int) -> str:
    """Return the X-Amzn-Trace-Id of the hit with this row."""
    run = run_digits(wall_ns, monotonic_ns)
    return f"Root=1-{wall_ns // NS & 0xFFFF_FFFF:08x}-{run[:8]}{worker:04x}{seq:012x}"


def uuid(wall_ns: int, monotonic_ns: int, worker: int, seq: int) -> str:
    """Return what `{uuid}` stood for in the hit with this row."""
    run = run_digits(wall_ns, monotonic_ns)
    return f"{run[:8]}-{run[8:12]}-8{run[12:15]}-8{worker:03x}-{seq:012x}"


def number(worker: int, seq: int) -> str:
    """Return what `{seq}` stood for in the hit with this row."""
    return f"{worker:02d}{seq:010d}"
