"""A host with too few ports or descriptors: predicted before the start, and named when it happens."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import UsageError
from harness.load.feasibility import check, warnings
from tests.load.load_run import plan_for, run_load
from tests.load.scripted_server import OK, ScriptedServer, always

if TYPE_CHECKING:
    from harness.load.generator import Load

ROOT = Path(__file__).parents[2]
IN_A_NETWORK_OF_ITS_OWN = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c"]
SCRIPT = """
import json, sys
from pathlib import Path
from tests.load.load_run import completed, plan_for, run_load
from tests.load.scripted_server import OK, ScriptedServer, always
from harness.errors import UsageError
from harness.load.feasibility import check

try:
    check(plan_for("http://127.0.0.1/", 11))
except UsageError as error:
    print(json.dumps(str(error)))
with ScriptedServer(always(OK, pause=0)) as server:
    plan = plan_for(server.url, 5, keepalive=False)
    short = lambda load: load.counts.outcomes.get("no_local_port", 0) > 3
    result = run_load(plan, Path(sys.argv[1]), until=short, seconds=20)
print(json.dumps({"outcomes": result.outcomes, "requests": server.seen["requests"], "samples": result.samples}))
"""


def test_a_worker_that_runs_out_of_descriptors_says_so_and_goes_on_when_there_are_some(
    tmp_path: Path,
) -> None:
    seen: list[int] = []

    def until(load: Load) -> bool:
        [worker] = load._workers
        pid = worker.process.pid
        counts = load.counts
        if not seen and counts.completed >= 50:
            seen.append(counts.completed)
            used = max(int(name) for name in os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  as a number
            _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(8, used // 2), hard))
        if len(seen) == 1 and counts.outcomes.get("no_descriptor", 0) > 5:
            seen.append(counts.completed)
            _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        return len(seen) == 2 and counts.statuses.get(200, 0) > seen[1] + 50

    with ScriptedServer(always(OK)) as server:
        result = run_load(plan_for(server.url, 10, keepalive=False), tmp_path, until=until)
    assert len(seen) == 2
    assert set(result.outcomes) == {"response", "no_descriptor"}
    assert result.outcomes["response"] == server.seen["requests"]
    assert {hit["sent_ns"] for hit in result.only("no_descriptor")} == {-1}
    assert "24" in result.samples["no_descriptor"]  # EMFILE
    assert result.lost == ()


def test_running_out_of_ports_is_predicted_and_named(tmp_path: Path) -> None:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("no unshare, or no ip")
    few = (
        "ip link set lo up && echo '40000 40009' > /proc/sys/net/ipv4/ip_local_port_range "
        "&& echo 0 > /proc/sys/net/ipv4/tcp_tw_reuse"
    )
    if subprocess.run([*IN_A_NETWORK_OF_ITS_OWN, few], capture_output=True, check=False).returncode:
        pytest.skip("no network of one's own here")
    done = subprocess.run(
        [*IN_A_NETWORK_OF_ITS_OWN, f'{few} && exec "$0" -c "$1" "$2"', sys.executable, SCRIPT, str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    foreseen, found = map(json.loads, done.stdout.splitlines())
    assert "it has 10 ports" in foreseen
    assert "lower -c" in foreseen
    assert set(found["outcomes"]) <= {"response", "no_local_port", "cut_at_deadline"}
    assert found["outcomes"]["no_local_port"] > 3
    assert found["outcomes"]["response"] <= found["requests"]
    assert "99" in found["samples"]["no_local_port"]  # EADDRNOTAVAIL


def test_a_rate_that_may_use_up_the_ports_is_warned_of_before_the_load_begins() -> None:
    url = "http://127.0.0.1/"
    assert warnings(plan_for(url, 5)) == ()
    assert warnings(plan_for(url, 5, rate=100_000.0)) == ()  # on connections that stay
    assert warnings(plan_for(url, 5, keepalive=False)) == ()  # as fast as it goes: nobody knows how fast
    assert warnings(plan_for(url, 5, rate=10.0, keepalive=False)) == ()
    [warning] = warnings(plan_for(url, 5, rate=10_000.0, keepalive=False))
    assert "10,000 connections/s" in warning
    assert "no_local_port" in warning
    assert warnings(plan_for(url, 5, rate=10_000.0, conn_max_hits=4))
    assert warnings(plan_for(url, 5, rate=10_000.0, conn_max_hits=100_000)) == ()


def test_more_connections_than_files_or_ports_are_refused_with_what_to_do(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard > 65_000:
        with pytest.raises(UsageError, match="lower -c"):
            check(plan_for("http://127.0.0.1/", 65_600))
    else:
        with pytest.raises(UsageError, match="ulimit -Hn"):
            check(plan_for("http://127.0.0.1/", hard))
    assert list(tmp_path.iterdir()) == []
