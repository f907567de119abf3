"""A run on the lab with proxy variables set, as on a company's machine: it uses no proxy."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from harness.scenario.resolve import shipped
from tests.cluster.test_proxies import BOTH, listening

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_on_the_lab_asks_no_proxy_and_is_judged(tmp_path: Path) -> None:
    with listening() as proxy:
        proxies = {name: f"http://{proxy.address}" for name in BOTH if name.lower() != "no_proxy"}
        done = subprocess.run(
            [sys.executable, "-m", "harness", "run", "-o", str(tmp_path), "-f", str(shipped() / "seed/1-no-probe"),
             "-c", "5", "-d", "5s", "--trigger-after", "2s", "--settle", "2s"],
            capture_output=True, text=True, check=False, timeout=170, env={**os.environ, **proxies},
        )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("FAIL: ")
    assert proxy.asked == []
