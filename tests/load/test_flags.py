"""How command-line flags change a load, through the command itself."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from harness.cli.options import flags_of
from harness.cli.run import run
from harness.errors import UsageError
from harness.scenario.reading import validate
from tests.load.load_run import LoadResult, read
from tests.load.scripted_server import ScriptedServer, Visit


def scenario_of(*words: str) -> object:
    options = run.make_context("run", [*words], resilient_parsing=False).params
    return validate({}, flags_of(options.pop("url"), options))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-c", "0"], r"^--concurrency: must be at least 1, not 0$"),
        (["--workers", "65"], r"^--workers: must be at most 64, not 65$"),
        (["--method", "FETCH"], r"^--method: must be 'GET', .*, not FETCH$"),
        (["--ramp", "5s"], "^ramp raises a rate.*add rate$"),
        (["--rate", "0"], r"^--rate: must be more than 0, not 0"),
        (["--rate", "5", "--lull", "9s"], "drop one"),
        (["--mix", "GET"], "--mix"),
        (["--resolve", "a:b"], "HOST:PORT:ADDRESS"),
        (["--resolve", "a:1:b"], "is not an IP address"),
        (["--key", "k.pem"], "add cert"),
        (["--conn-max-hits", "-1"], "--conn-max-hits"),
        (["--pod-header", "a b"], "--pod-header"),
    ],
)
def test_contradictory_flags_are_one_line(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        scenario_of("http://h/", *words)


def test_flags_reach_the_wire_and_the_recording(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()

    def script(visit: Visit) -> None:
        while request := visit.request():
            head = request.decode("latin-1")
            seen[head.split(" ")[0]] += 1
            seen["host"] += f"\r\nHost: shop.invalid:{visit.server.port}\r\n" in head
            seen["id"] += "\r\nX-Request-ID: " in head
            seen["trace"] += "\r\nX-Amzn-Trace-Id: Root=1-" in head
            seen["body"] += head.endswith("\r\n\r\nhello")
            visit.answer(b"HTTP/1.1 200 OK\r\nX-Backend: b-7\r\nContent-Length: 0\r\n\r\n")

    with ScriptedServer(script) as server:
        where = f"shop.invalid:{server.port}"
        done = subprocess.run(
            [sys.executable, "-m", "harness", "run", f"http://{where}/", "--no-rollout", "-d", "2s", "-c", "4",
             "-o", str(tmp_path), "--resolve", f"{where}:127.0.0.1", "--rate", "100", "--mix", "GET:3,POST:1",
             "--body", "hello", "--conn-max-hits", "10", "--pod-header", "X-Backend", "--format", "json", "-l"],
            capture_output=True, text=True, timeout=110, check=False,
            env={**os.environ, "HTTPS_PROXY": "http://proxy.invalid:1"},
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.iterdir()
    record = json.loads((path / "run.json").read_text())
    assert (record["rate"], record["backed_off"], record["error_samples"]) == (100, 0, {})
    assert [(t["method"], t["weight"]) for t in record["targets"]] == [("GET", 3), ("POST", 1)]
    assert any("HTTPS_PROXY" in note for note in record["notes"])
    assert json.loads(done.stdout)["about"]["model"].startswith("open loop at 100 requests/s, 4 slots")
    read(path, result := LoadResult())
    assert result.failed == 0
    assert {hit["pod"] for hit in result.hits} == {"b-7"}
    assert max(row["hits"] for row in result.connections) <= 10
    as_bombardier(path, result)
    asked = len(result.hits) + 3  # the preflight's, without our ids
    assert seen["GET"] + seen["POST"] == seen["host"] == asked
    assert seen["id"] == seen["trace"] == len(result.hits)
    assert len(result.of_target(0)) / len(result.of_target(1)) == pytest.approx(3, rel=0.1)
    assert seen["body"] - 3 <= len(result.of_target(1)) <= seen["body"]


def as_bombardier(path: Path, result: LoadResult) -> None:
    """The same run again, in bombardier's shape."""
    command = [sys.executable, "-m", "harness", "report", str(path), "--format", "bombardier-json", "-l"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    # As Go writes them: a rate is a uint64 there, which 100.0 cannot be read into.
    assert '"testType":"timed","testDurationSeconds":2,"method":' in done.stdout
    assert '"timeoutSeconds":65,' in done.stdout
    assert '"rate":100}' in done.stdout
    found = json.loads(done.stdout)
    assert found["result"]["timeTakenSeconds"] >= 2
    spec, theirs = found["spec"], found["result"]
    assert (spec["numberOfConnections"], spec["method"], spec["rate"], spec["testType"]) == (
        4,
        "GET",
        100,
        "timed",
    )
    assert 0 < theirs["req2xx"] <= len(result.hits)
    assert theirs["bytesRead"] == theirs["req2xx"] * result.hits[0]["bytes_in"]
    assert theirs["bytesWritten"] > theirs["bytesRead"]
    assert "errors" not in theirs
    assert list(theirs["latency"]["percentiles"]) == ["50", "75", "90", "95", "99"]
    assert theirs["latency"]["percentiles"]["50"] <= theirs["latency"]["max"]
    assert theirs["rps"]["mean"] == pytest.approx(100, rel=0.2)
