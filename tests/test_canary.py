"""A secret in every place where a run may meet one, and a search for it in everything that the run writes or prints."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.load.scripted_server import ScriptedServer, Visit

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "c4n4ry"
LEFT = ("junit", "markdown", "openmetrics")  # files beside the run's folder

MANIFESTS = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: web-app}}
data: {{app.py: ""}}
---
apiVersion: v1
kind: Service
metadata:
  name: web
  annotations:
    nginx.ingress.kubernetes.io/configuration-snippet: 'more_set_headers "X: {CANARY}"'
    objectset.rio.cattle.io/applied: '{{"env": "{CANARY}"}}'
spec:
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: 8080}}]
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  annotations:
    kapp.k14s.io/original: '{{"env": [{{"value": "{CANARY}"}}]}}'
    kubernetes.io/change-cause: kubectl set env deployment/web TOKEN={CANARY}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata:
      labels: {{app: web}}
      annotations: {{vault.hashicorp.com/agent-inject-token: {CANARY}}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: web
        image: python:3.12-slim
        command: ["python3", "/app/app.py"]
        args: ["--token={CANARY}", "-p{CANARY}", "--password", "{CANARY}", "{CANARY}"]
        ports: [{{containerPort: 8080}}]
        readinessProbe:
          httpGet: {{path: "/alive?token={CANARY}", port: 8080, httpHeaders: [{{name: X-Token, value: {CANARY}}}]}}
          periodSeconds: 1
        lifecycle:
          preStop:
            exec: {{command: ["/bin/sh", "-c", "curl -H 'Authorization: {CANARY}' http://u:{CANARY}@h/; sleep 1"]}}
      volumes:
      - name: secrets
        csi: {{driver: secrets.example.com, volumeAttributes: {{secretKey: {CANARY}}}}}
"""


@dataclass(frozen=True)
class Left:
    code: int
    printed: str
    folder: Path


def run(home: Path, *words: str) -> Left:
    (home / "app.yaml").write_text(MANIFESTS)
    (home / "targets").write_text(
        f"GET /a?key={CANARY}\nAuthorization: Bearer {CANARY}\n\nPOST /b;session={CANARY}\n@<<E\n{CANARY}\nE\n"
    )
    scenario = {
        "name": "canary",
        "target": {"path": f"/?token={CANARY}", "headers": {"Cookie": CANARY}, "body": CANARY},
        "load": {"concurrency": 5, "duration": "3s", "targets": "targets"},
        "workload": "deployment/web",
        "namespace": "default",
        "manifests": ["app.yaml"],
        "rollout": {"trigger_after": "1s", "settle": "1s", "max_time": "60s"},
        "lab": {"profile": "service", "lag": "200ms", "health_check": {"path": f"/?key={CANARY}"}},
    }
    (home / "zdtest.yaml").write_text(yaml.safe_dump(scenario))
    command = [
        sys.executable, "-m", "harness", "run", "-f", str(home / "zdtest.yaml"), "-o", str(home / "results"),
        "-H", f"X-Token: {CANARY}", f"-HX-Key:{CANARY}", "-H", f" X-Space: {CANARY}", f"--body={CANARY}", *words,
        "--webhook", f"http://u:{CANARY}@127.0.0.1:1/services/{CANARY}", "--annotations",
        "--pushgateway", f"http://u:{CANARY}@127.0.0.1:1/", "--link", f"https://u:{CANARY}@ci.example/7",
        *(word for name in LEFT for word in (f"--{name}", str(home / "left" / name))),
    ]  # fmt: skip
    (home / "left").mkdir()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=170)
    (folder,) = (home / "results").iterdir()
    return Left(done.returncode, done.stdout + done.stderr, folder)


@pytest.fixture(scope="module")
def restarted(tmp_path_factory: pytest.TempPathFactory) -> Left:
    return run(tmp_path_factory.mktemp("restarted"))


@pytest.fixture(scope="module")
def commanded(tmp_path_factory: pytest.TempPathFactory) -> Left:
    trigger = (
        f" command sh -c 'echo upgraded; echo password={CANARY} https://u:{CANARY}@h/; exit 3' curl -H "
        f"'Authorization: Bearer {CANARY}' https://u:{CANARY}@h/?a={CANARY} -p{CANARY} --x={CANARY}"
    )
    return run(tmp_path_factory.mktemp("commanded"), "--trigger", trigger)


def leaks(left: Left) -> list[str]:
    found = [f"printed: {line}" for line in left.printed.splitlines() if CANARY in line]
    for file in sorted((*left.folder.rglob("*"), *left.folder.parents[1].glob("left/*"))):
        if file.is_file() and CANARY.encode() in (content := file.read_bytes()):
            at = content.index(CANARY.encode())
            found.append(
                f"{file.relative_to(left.folder.parents[1])}: {content[max(at - 90, 0) : at + 30]!r}"
            )
    return found


def test_a_run_neither_records_nor_prints_a_secret(restarted: Left) -> None:
    assert restarted.code in {0, 1, 3}, restarted.printed
    assert (restarted.folder / "manifests/after.json").exists()
    assert sorted(file.name for file in restarted.folder.parents[1].glob("left/*")) == sorted(LEFT)
    assert "the webhook at 127.0.0.1:1: no connection" in restarted.printed
    assert leaks(restarted) == []


def test_a_command_trigger_with_secrets_is_neither_recorded_nor_printed(commanded: Left) -> None:
    assert commanded.code == 3, commanded.printed
    assert "command sh" in (commanded.folder / "run.json").read_text()
    assert (commanded.folder / "command.log").read_text() == "upgraded\npassword=*** https://h/\n"
    assert leaks(commanded) == []


@pytest.fixture(scope="module")
def echoed(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """A run against a failing server that repeats the request in its page and its headers."""
    home = tmp_path_factory.mktemp("echoed")

    def echo(visit: Visit) -> None:
        while request := visit.request():
            time.sleep(0.01)
            page = b"<h1>502 Bad Gateway</h1><pre>%b</pre>" % request
            server = request.replace(b"\r\n", b" ")[-120:]
            head = b"HTTP/1.1 502 Bad Gateway\r\nServer: envoy\r\nVia: 1.1 %b\r\nX-Cache: %b\r\n" % (
                server,
                request.split()[1],
            )
            visit.answer(head + b"Content-Length: %d\r\n\r\n%b" % (len(page), page))

    with ScriptedServer(echo) as server:
        command = [
            sys.executable, "-m", "harness", "run", f"{server.url}a?token={CANARY}&x={CANARY}%2Fy", "--no-rollout",
            "-d", "2s", "-c", "3",
            "--method", "POST", "--body", f'{{"password": "{CANARY}"}}', "-H", f"Authorization: Bearer {CANARY}",
            "-H", f"Cookie: sid={CANARY}; other={CANARY}", "-H", f"X-Token: {CANARY}", "-o", str(home / "results"),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=170, cwd=home)
    (folder,) = (home / "results").iterdir()
    return Left(done.returncode, done.stdout + done.stderr, folder)


def test_an_error_page_that_repeats_the_request_leaves_none_of_it_in_the_recording(echoed: Left) -> None:
    assert echoed.code in {1, 3}, echoed.printed
    text = (echoed.folder / "answers" / "0.jsonl").read_text()
    assert "502 Bad Gateway" in text
    assert '["server","envoy"]' in text
    assert len(text.splitlines()) == 1
    assert leaks(echoed) == []


@pytest.mark.parametrize("which", ["restarted", "commanded", "echoed"])
def test_a_recording_is_its_owner_s_alone(which: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(which).folder
    for path in (folder, *folder.rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o600
        assert path.stat().st_mode & 0o777 == wanted, path.relative_to(folder)
