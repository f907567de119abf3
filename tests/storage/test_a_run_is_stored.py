"""`zdtest run -o s3://…`: seen to be possible before, recorded here, stored afterwards, whatever happens."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import harness.cli  # noqa: F401  registers the commands
from harness.cli.root import root
from harness.recording.read import Recording
from harness.storage import door, upload
from harness.storage.contents import INDEX
from tests.processes import come_true
from tests.program import zdtest
from tests.storage.bucket import KEY, SECRET, Bucket, serving as store_serving
from tests.webserver import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT = ("-c", "2", "-d", "1s", "--no-rollout")


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    status = 200
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(self.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(Answers) as address:
        yield address


def test_a_run_is_stored_with_its_reports_and_without_a_word_of_the_credentials(
    url: str, bucket: Bucket, tmp_path: Path
) -> None:
    done = zdtest("run", url, *SHORT, "-o", bucket.url, "-o", "here", cwd=tmp_path)
    (path,) = (tmp_path / "here").iterdir()
    grade = json.loads((path / "verdict.json").read_text())["verdict"]["grade"]
    assert done.returncode == {"PASS": 0, "INCONCLUSIVE": 3}[grade], (
        done.stderr
    )  # on a busy machine the load is late
    assert f"stored {bucket.url}/{path.name}: " in done.stderr
    there = bucket.objects(f"shop/{path.name}")
    assert {"run.json", "hits/0.arrow", "verdict.json", "summary.txt", "report.html", INDEX} <= set(there)
    written = b"".join(file.read_bytes() for file in path.rglob("*") if file.is_file())
    written += b"".join(file.read_bytes() for file in bucket.folder.rglob("*") if file.is_file())
    for secret in (KEY, SECRET):
        assert secret not in done.stdout + done.stderr
        assert secret.encode() not in written


def test_what_keeps_a_run_from_being_stored_is_said_before_any_request(
    url: str, bucket: Bucket, tmp_path: Path
) -> None:
    asked = Answers.asked
    wrong = os.environ | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    refused = zdtest("run", url, *SHORT, "-o", bucket.url, cwd=tmp_path, env=wrong)
    assert refused.returncode == 2
    assert refused.stderr == (
        f"zdtest: runs cannot be stored there: {bucket.url}/.zdtest: access is refused\n"
    )
    nowhere = zdtest("run", url, *SHORT, "-o", "s3://nowhere/x", cwd=tmp_path)
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (2, 1)
    assert Answers.asked == asked
    assert not (tmp_path / "results").exists()


def test_without_the_extra_one_line_names_it(url: str, tmp_path: Path) -> None:
    (tmp_path / "obstore.py").write_text("raise ImportError")
    words = ["run", url, *SHORT, "-o", "s3://nights/shop"]
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "zdtest: s3://nights/shop: object storage needs the package obstore: pip install 'zdtest[s3]'\n"
    )


def test_a_storage_that_goes_away_takes_neither_verdict_nor_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends while the load goes on: the exit code stays the verdict's, and one line says what to do."""

    class Goes(Answers):
        def do_GET(self) -> None:
            bucket.process.terminate()
            super().do_GET()

    monkeypatch.setattr(door, "PATIENCE_S", 0.2)
    monkeypatch.setattr(upload, "PAUSES_S", ())
    monkeypatch.chdir(tmp_path)
    with store_serving(tmp_path / "s3") as bucket, serving(Goes) as target:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        words = ["run", target, *SHORT, "--fail-on", "p50>0ms", "-o", bucket.url]
        done = CliRunner().invoke(root, words, standalone_mode=False)
    assert done.return_value == 1, done.output
    (path,) = Path("results").iterdir()
    assert (path / "report.html").exists()
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"zdtest: the run could not be stored: {bucket.url}/")
    assert last.endswith(f"; it is in {path}; store it with: zdtest upload {path} {bucket.url}")


def test_a_run_that_sigterm_ended_is_stored_as_far_as_it_came(
    url: str, bucket: Bucket, tmp_path: Path
) -> None:
    words = ["run", url, "-c", "2", "-d", "60s", "--no-rollout", "-o", bucket.url]
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert come_true(lambda: any(f.stat().st_size > 5000 for f in tmp_path.glob("results/*/hits/0.arrow")))
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=150)
    assert process.returncode == 130, said
    (path,) = (tmp_path / "results").iterdir()
    assert f"stored {bucket.url}/{path.name}" in said
    assert Recording.open(path).run.ended_by == "interrupted"
    assert {"run.json", "summary.txt", INDEX} <= set(bucket.objects(f"shop/{path.name}"))


def test_other_commands_take_a_folder_alone(tmp_path: Path) -> None:
    done = zdtest("ladder", "-o", "s3://nights/shop", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "zdtest upload RUN URL" in done.stderr
