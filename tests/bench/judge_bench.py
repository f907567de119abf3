"""How long judging takes, and how much memory, by the number of hits.

    python tests/bench/judge_bench.py [1000000 10000000 100000000]

Each size is judged in a process of its own (imports included in neither figure of time; memory is the whole process's
peak; it may allocate 2 GiB, whatever the size). Ends with 1 when a bound is broken: 1,000,000 hits in 3 s and
600 MiB, 10,000,000 in 40 s and 600 MiB, 100,000,000 in 180 s and 2 GiB. The last takes 8 GB of disk while it is judged.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).parents[2]
BOUNDS = {1_000_000: (3.0, 600), 10_000_000: (40.0, 600), 100_000_000: (180.0, 2048)}
LIMIT = 2 << 30  # bytes that judging may allocate, whatever the size
MOST = 5_000_000  # of one worker: beyond two of these, others have the same rows
S = 1_000_000_000
SHARE = 0.001  # of the hits fail


def write(root: Path, hits: int) -> Path:
    """Write a recording of a rollout of 6 pods with so many hits, by 2 workers of 100 slots, or as many as it takes."""
    sys.path.insert(0, str(ROOT))
    from harness.model import NEVER, OUTCOME_CODE, Outcome
    from harness.recording.write import OUTCOME_NAMES, WORKER_SCHEMA, ArrowStream
    from tests.judge.synthetic import TRIGGER, SyntheticRun

    synthetic = SyntheticRun.rolling(prestop=4, grace=20, settle=120.0)
    workers = max(2, hits // MOST)
    synthetic.record = {"workers": workers, "concurrency": 100 * workers}
    directory = synthetic.write(root)
    length = TRIGGER + synthetic.ended
    chance = np.random.default_rng(1)
    names = [pod.name for pod in synthetic.pods]
    peers = pa.array(["127.0.0.1:8088"])
    for worker in range(2):
        path = directory / "hits" / f"{worker}.arrow"
        path.unlink(missing_ok=True)
        stream = ArrowStream(path, WORKER_SCHEMA, worker)
        mine = hits // workers
        done = np.sort(chance.uniform(0.05 * S, length * S, mine)).astype(np.int64)
        took = np.minimum(chance.lognormal(17.5, 0.5, mine).astype(np.int64), done)
        failed = (chance.random(mine) < SHARE) & (done > (TRIGGER + 1) * S) & (done < (TRIGGER + 10) * S)
        status = np.where(failed, 502, 200).astype(np.uint16)
        early = done < (TRIGGER + 5) * S
        pod = np.where(failed, 6, chance.integers(0, 3, mine) + np.where(early, 0, 3)).astype(np.int32)
        for start in range(0, mine, 5000):
            rows = slice(start, start + 5000)
            n = len(done[rows])
            columns = {
                "seq": np.arange(start, start + n),
                "slot": (np.arange(n) % 100).astype(np.uint16),
                "conn": (np.arange(n) % 100).astype(np.int32),
                "conn_hits": np.full(n, 7, dtype=np.int32),
                "due_ns": done[rows] - took[rows],
                "sent_ns": done[rows] - took[rows],
                "first_byte_ns": done[rows],
                "done_ns": done[rows],
                "status": status[rows],
                "bytes_in": np.full(n, 120),
                "bytes_out": np.full(n, 60),
                "target": np.zeros(n, dtype=np.uint16),
                "until_close": np.zeros(n, dtype=bool),
            }
            arrays = []
            for field in WORKER_SCHEMA:
                if field.name == "outcome":
                    codes = pa.array(np.full(n, OUTCOME_CODE[Outcome.RESPONSE], dtype=np.uint8))
                    arrays.append(pa.DictionaryArray.from_arrays(codes, OUTCOME_NAMES))
                elif field.name == "peer":
                    arrays.append(
                        pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, dtype=np.int32)), peers)
                    )
                elif field.name == "pod":
                    arrays.append(pa.DictionaryArray.from_arrays(pa.array(pod[rows]), pa.array([*names, ""])))
                elif field.name in columns:
                    arrays.append(pa.array(columns[field.name], field.type))
                else:
                    arrays.append(pa.array(np.full(n, NEVER), field.type))
            stream.append(arrays)
        stream.close()
    for worker in range(2, workers):
        shutil.copyfile(directory / "hits" / f"{worker % 2}.arrow", directory / "hits" / f"{worker}.arrow")
    return directory


def judge(directory: Path) -> None:
    """Judge, and print seconds, seconds of CPU, peak MiB and the verdict."""
    from harness.judge.verdict.judgement import judge as judged, to_json
    from harness.recording.read import Recording

    begun, used = time.perf_counter(), time.process_time()
    judgement = judged(Recording.open(directory))
    to_json(judgement)
    took, cpu = time.perf_counter() - begun, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{took:.2f} {cpu:.2f} {peak} {judgement.grade} {judgement.numbers.requests}")  # noqa: T201


def main() -> int:
    """Measure each size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sizes", nargs="*", type=int, default=[1_000_000, 10_000_000])
    parser.add_argument("--judge", type=Path)
    asked = parser.parse_args()
    if asked.judge:
        resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
        judge(asked.judge)
        return 0
    broken = False
    print("| hits | seconds | bound | of CPU | peak MiB | bound |\n|---|---|---|---|---|---|")  # noqa: T201
    for size in asked.sizes:
        with tempfile.TemporaryDirectory(prefix="zdtest-judge-") as scratch:
            directory = write(Path(scratch), size)
            words = [sys.executable, str(Path(__file__)), "--judge", str(directory)]
            done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
        took, cpu, peak, *_ = done.stdout.split()
        seconds, mebibytes = BOUNDS.get(size, (float("inf"), 1 << 30))
        broken |= float(took) > seconds or int(peak) > mebibytes
        print(f"| {size:,} | {took} | {seconds:g} | {cpu} | {peak} | {mebibytes:,} |", flush=True)  # noqa: T201
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
