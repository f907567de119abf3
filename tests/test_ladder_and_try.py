"""`zdtest ladder` and `zdtest lab try`, whole, on the embedded lab."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.scenario.resolve import shipped

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      affinity: {podAntiAffinity: {}}
      containers:
      - name: shop
        image: example.com/shop
        ports: [{containerPort: 9000}]
        readinessProbe: {httpGet: {path: /up, port: 9000}, periodSeconds: 1}
"""


pytestmark = pytest.mark.slow


def zdtest(*words: str, text: str | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
        cwd=cwd,
    )


def test_a_users_manifest_is_rolled_out_with_the_sample_app_and_its_losses_are_explained(
    tmp_path: Path,
) -> None:
    done = zdtest(
        "lab", "try", "-", "--startup-time", "0s", "--lag", "500ms", "-d", "3s", "-c", "10", "-o", str(tmp_path),
        text=MANIFEST,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "lifecycle" in done.stdout
    assert "the sample app runs instead of example.com/shop" in done.stderr
    assert "not modelled: Deployment shop: spec.template.spec.affinity" in done.stderr
    (run,) = tmp_path.iterdir()
    truth = [json.loads(line) for line in (run / "lab/truth.jsonl").read_text().splitlines()]
    assert {line["cause"] for line in truth} & {"B1", "B2"}
    notes = json.loads((run / "run.json").read_text())["notes"]
    assert any("podAntiAffinity" in note or "affinity" in note for note in notes)


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("replicas: 2", 'replicas: "2"', 'Deployment/shop: spec.replicas: "2" is not an integer'),
        ("ports: [{containerPort: 9000}]", "ports: [9000]", "containers[0].ports[0]: 9000 is not an object"),
    ],
)
def test_a_malformed_manifest_is_refused_before_anything_is_started(
    tmp_path: Path, good: str, bad: str, said: str
) -> None:
    done = zdtest("lab", "try", "-", "-o", str(tmp_path), text=MANIFEST.replace(good, bad))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("zdtest: standard input: ")
    assert said in line
    assert not list(tmp_path.iterdir())


def a_ladder_of_one_step(root: Path) -> Path:
    folder = root / "ladder/1-clean"
    folder.mkdir(parents=True)
    source = shipped() / "clean/prestop"
    text = (source / "zdtest.yaml").read_text().replace("concurrency: 30", "concurrency: 10")
    text = text.replace("../../", f"{shipped()}/").replace("settle: 5s", "settle: 1s")
    (folder / "zdtest.yaml").write_text(text.replace("trigger_after: 5s, ", ""))
    app = (
        (source / "app.yaml").read_text().replace("replicas: 3", "replicas: 1").replace("sleep 3", "sleep 2")
    )
    (folder / "app.yaml").write_text(app)
    return folder.parent


def test_a_ladder_ends_with_the_code_of_its_last_step_and_one_row_for_each(tmp_path: Path) -> None:
    steps = a_ladder_of_one_step(tmp_path)
    done = zdtest("ladder", str(steps), "-d", "3s", "-o", str(tmp_path / "out"))
    head, _, row = done.stdout.rstrip().splitlines()
    assert head.split()[:2] == ["step", "requests"]
    assert row.split()[0] == "1-clean"
    assert row.split()[-1] in {"PASS", "INCONCLUSIVE"}  # a busy machine proves nothing
    assert done.returncode == {"PASS": 0, "INCONCLUSIVE": 3}[row.split()[-1]]


def test_a_ladder_that_is_interrupted_shows_and_keeps_the_step_that_was_judged(tmp_path: Path) -> None:
    steps, suite = a_ladder_of_one_step(tmp_path), tmp_path / "ladder.xml"
    words = ("ladder", str(steps), "-d", "30s", "-o", str(tmp_path / "out"), "--junit", str(suite))
    with subprocess.Popen(
        [sys.executable, "-m", "harness", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        for line in process.stderr:
            if line.startswith("00:"):  # the load is being shown
                break
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    *_, row = stdout.rstrip().splitlines()
    assert (row.split()[0], row.split()[-1]) == ("1-clean", "INCONCLUSIVE")
    assert 'tests="' in suite.read_text()


def test_a_folder_without_steps_is_refused(tmp_path: Path) -> None:
    done = zdtest("ladder", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "none of its sub-folders has a zdtest.yaml" in done.stderr


def test_the_shipped_scenarios_are_listed_and_can_be_searched() -> None:
    done = zdtest("scenarios", "keep-alive")
    assert done.returncode == 0
    assert "faults/C2-keep-alive-race" in done.stdout
    assert "seed/1-no-probe" not in done.stdout
    rows = json.loads(zdtest("scenarios", "--json").stdout)
    assert {"name", "label", "text", "path", "needs"} == set(rows[0])
    assert len({row["label"] for row in rows} - {"", "clean"}) >= 20
