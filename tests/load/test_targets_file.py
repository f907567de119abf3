"""`--targets FILE` through the command itself: what arrives at the server, and what is recorded."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.load.load_run import LoadResult, read
from tests.load.scripted_server import ScriptedServer, Visit

if TYPE_CHECKING:
    from pathlib import Path

FILE = """# weight: 3
GET /items/{seq}
Authorization: Bearer ${SHOP_TOKEN}

POST /cart
Idempotency-Key: {uuid}
@cart.json
"""


def test_several_targets_reach_the_server_in_their_proportion_and_their_secrets_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def script(visit: Visit) -> None:
        while request := visit.request():
            seen.append(request.decode())
            visit.answer(pause_free_answer(request))

    monkeypatch.setenv("SHOP_TOKEN", "s3cret-token")
    (tmp_path / "targets.http").write_text(FILE)
    (tmp_path / "cart.json").write_text('{"order": "{uuid}", "card": "s3cret-card"}')
    out = tmp_path / "out"
    with ScriptedServer(script) as server:
        done = subprocess.run(
            [sys.executable, "-m", "harness", "run", server.url, "--no-rollout", "-d", "1s", "-c", "2", "--rate", "80",
             "--targets", str(tmp_path / "targets.http"), "-o", str(out)],
            capture_output=True, text=True, timeout=110, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.iterdir()
    read(path, result := LoadResult())
    asked = [request for request in seen if "X-Request-ID" in request]  # the preflight's have none
    assert len(asked) == len(result.hits) >= 100
    gets = [request for request in asked if request.startswith("GET /items/")]
    posts = [request for request in asked if request.startswith("POST /cart ")]
    assert (len(gets), len(posts)) == (len(result.of_target(0)), len(result.of_target(1)))
    assert len(gets) / len(posts) == pytest.approx(3, rel=0.1)
    assert all("\r\nAuthorization: Bearer s3cret-token\r\n" in request for request in gets)
    assert all('"card": "s3cret-card"' in request for request in posts)
    assert len({request.split()[1] for request in gets}) == len(gets)
    keys = [request.partition("Idempotency-Key: ")[2][:36] for request in posts]
    assert len(set(keys)) == len(posts)
    assert all(f'"order": "{key}"' in request for key, request in zip(keys, posts, strict=True))
    record = json.loads((path / "run.json").read_text())
    assert [(t["method"], t["url"], t["weight"]) for t in record["targets"]] == [
        ("GET", f"{server.url}items/{{seq}}", 3),
        ("POST", f"{server.url}cart", 1),
    ]
    kept = b"".join(file.read_bytes() for file in path.rglob("*") if file.is_file())
    assert b"s3cret" not in kept
    verdict = json.loads((path / "verdict.json").read_text())
    by_target = Counter({row["name"]: row["requests"] for row in verdict["sending"]["targets"]})
    assert sum(by_target.values()) == verdict["numbers"]["requests"]
    assert "/cart" in done.stdout


def pause_free_answer(request: bytes) -> bytes:
    """Answer a GET with a body and a POST with none."""
    return b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % (
        b"200 OK" if request.startswith(b"GET") else b"201 Made"
    )


def test_a_fault_in_the_targets_file_names_its_place_and_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("GET http://127.0.0.1:1/\nnonsense\n")
    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", "--no-rollout", "--targets", "t", "-o", "out"],
        capture_output=True, text=True, timeout=110, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"zdtest: {tmp_path / 't'}:2: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_rollout_under_several_targets_is_judged_with_each_of_them(tmp_path: Path) -> None:
    (tmp_path / "t.http").write_text(
        "# weight: 3\nGET /?ms=5\nX-Own: s3cret\n\nPOST /cart?id={seq}\n@<<E\n{}\nE\n"
    )
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", "-f", "seed/1-no-probe", "-c", "8", "-d", "9s", "--trigger-after",
         "3s",
         "--settle", "2s", "--targets", str(tmp_path / "t.http"), "-o", str(out)],
        capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    (path,) = out.iterdir()
    verdict = json.loads((path / "verdict.json").read_text())
    record = json.loads((path / "run.json").read_text())
    assert [t["url"].partition("/")[2].partition("/")[2].partition("/")[2] for t in record["targets"]] == [
        "?ms=***",
        "cart?id={seq}",
    ]
    assert record["path"]["proven"]
    assert record["rollout"]["state"] == "complete"
    rows = verdict["sending"]["targets"]
    assert {row["name"].split(" ")[0]: row["weight"] for row in rows} == {"GET": 3, "POST": 1}
    assert [row for row in rows if row["requests"] <= 50 or not row["failed"]] == []
    assert "s3cret" not in (path / "run.json").read_text() + done.stdout
