"""Neither a manifest nor zdtest's environment and working directory can put code into the lab's processes."""

from __future__ import annotations

import ast
import asyncio
import base64
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.lab import app
from harness.lab.controllers.loops import controllers
from harness.lab.kubelet.addresses import Addresses
from harness.lab.kubelet.environment import APP_VARIABLES
from harness.lab.kubelet.kubelet import Kubelet
from harness.lab.kubelet.process import ParentPipe, Program
from harness.lab.lab import running
from harness.lab.objects.recorder import Recorder
from harness.model import LabPlan
from tests.lab.control_plane import FAST, Cluster, deployment, descendants, env, new_store, service

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.lab.objects.store import Object

    Write = Callable[..., str]

SETTINGS = {"STARTUP_DELAY": "0", "WORK_MS": "1"}
PLACE = {"HOSTNAME", "BIND_ADDRESS", "BIND_PORT", "LAB_LIFELINE"}


def attacks(folder: Path) -> dict[str, str]:
    """Variables by which a program, its interpreter, its loader or its shell runs somebody's code."""
    (folder / "evil").mkdir()
    for name in ("sitecustomize", "usercustomize", "uvloop"):
        (folder / "evil" / f"{name}.py").write_text(
            f"open({str(folder / 'ran')!r}, 'w')\nraise ImportError\n"
        )
    return {
        "PYTHONWARNINGS": "error:0:antigravity.x:0:0",
        "BROWSER": f"touch {shlex.quote(str(folder / 'ran'))} %s",
        "LD_PRELOAD": str(folder / "evil" / "no-such.so"),
        "LD_DEBUG": "libs",
        "LD_DEBUG_OUTPUT": str(folder / "ran"),
        "LD_AUDIT": str(folder / "evil" / "no-such-audit.so"),
        "LD_LIBRARY_PATH": str(folder / "evil"),
        "PYTHONPATH": str(folder / "evil"),
        "PYTHONSTARTUP": str(folder / "evil" / "sitecustomize.py"),
        "PYTHONHOME": str(folder / "evil"),
        "PYTHONUSERBASE": str(folder / "evil"),
        "PYTHONINSPECT": "1",
        "PATH": str(folder / "evil"),
        "BASH_ENV": str(folder / "evil" / "sitecustomize.py"),
        "ENV": str(folder / "evil" / "sitecustomize.py"),
        "GCONV_PATH": str(folder / "evil"),
        "OPENSSL_CONF": str(folder / "evil" / "openssl.cnf"),
        "LOCPATH": str(folder / "evil"),
        "MALLOC_CHECK_": "3",
        "TMPDIR": str(folder / "evil"),
        "ANYTHING": "else",
    }


def secret(values: dict[str, str]) -> Object:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": named("theirs"), "data": data}


def config(values: dict[str, str], name: str = "theirs") -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named(name), "data": values}


def named(name: str) -> Object:
    return {"name": name, "namespace": "default"}


def plainly(values: dict[str, str]) -> tuple[Object, list[Object]]:
    return {"env": env(**values, **SETTINGS)}, []


def by_config_map(values: dict[str, str]) -> tuple[Object, list[Object]]:
    return {"envFrom": [{"configMapRef": {"name": "theirs"}}], "env": env(**SETTINGS)}, [config(values)]


def by_secret(values: dict[str, str]) -> tuple[Object, list[Object]]:
    return {"envFrom": [{"secretRef": {"name": "theirs"}}], "env": env(**SETTINGS)}, [secret(values)]


def by_prefix(values: dict[str, str]) -> tuple[Object, list[Object]]:
    """LD_PRELOAD as the prefix LD and the key _PRELOAD."""
    maps = [config({name[2:]: value}, f"c-{n}") for n, (name, value) in enumerate(values.items())]
    sources = [{"prefix": name[:2], "configMapRef": {"name": f"c-{n}"}} for n, name in enumerate(values)]
    return {"envFrom": sources, "env": env(**SETTINGS)}, maps


def by_key(values: dict[str, str]) -> tuple[Object, list[Object]]:
    half = len(values) // 2
    refs = [
        {"name": name, "valueFrom": {kind: {"name": "theirs", "key": name}}}
        for n, name in enumerate(values)
        for kind in ("configMapKeyRef" if n < half else "secretKeyRef",)
    ]
    return {"env": [*refs, *env(**SETTINGS)]}, [config(values), secret(values)]


def by_reference(values: dict[str, str]) -> tuple[Object, list[Object]]:
    """$(NAME) of a variable that is allowed."""
    refs = [entry for name, value in values.items() for entry in env(ON_TERM=value, **{name: "$(ON_TERM)"})]
    return {"env": [*refs, *env(ON_TERM="exit", **SETTINGS)]}, []


WAYS = (plainly, by_config_map, by_secret, by_prefix, by_key, by_reference)


def environ(pid: int) -> dict[str, str]:
    """The environment that a process was started with."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(entry.decode().partition("=")[::2] for entry in entries if entry)


async def started(
    folder: Path, container: Object, others: list[Object], pod: Object | None = None, *, ends: bool = False
) -> tuple[dict[str, str], str]:
    """Run one pod of the sample app as a lab does; return its environment, and its output once it listens.

    With `ends` the pod is deleted too, and seen to its end.
    """
    store, addresses, parent_pipe = new_store(), Addresses(), ParentPipe()
    cluster = Cluster(store, Recorder(store), addresses)
    logs = folder / "logs"
    logs.mkdir()
    for name in ("sitecustomize", "uvloop"):  # the pods' working folder
        (logs / f"{name}.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\nraise ImportError\n")
    kubelet = Kubelet(store, cluster.recorder, addresses, Program(logs, parent_pipe), FAST)
    loops = [kubelet.run(), *(c.run() for c in controllers(store, cluster.recorder, addresses.mapped))]
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        for other in others:
            store.create(other)
        spec = {"containers": [{"name": "web", "image": "x:1", **container}], **(pod or {})}
        store.create({"apiVersion": "v1", "kind": "Pod", "metadata": named("p"), "spec": spec})
        log = logs / "p.log"
        await cluster.until(lambda: log.exists() and log.read_text().strip(), 20)
        await asyncio.sleep(0.2)
        [worker] = kubelet._workers.values()
        process = worker._containers[0]._process
        assert process is not None
        assert process.code is None, log.read_text()
        seen = environ(process.pid)
        if ends:
            await asyncio.sleep(1.5)  # its probes have had a turn
            store.delete(store.get("Pod", "default", "p"))
            await cluster.until(lambda: store.find("Pod", "default", "p") is None)
        return seen, log.read_text()
    finally:
        await kubelet.end()
        parent_pipe.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        addresses.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_manifest_s_environment_runs_nothing_and_only_the_app_s_settings_arrive(
    tmp_path: Path, way: Callable[[dict[str, str]], tuple[Object, list[Object]]]
) -> None:
    seen, log = asyncio.run(started(tmp_path, *way(attacks(tmp_path))))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evil", "logs"]
    assert log.startswith("listening on ")
    assert seen.keys() - {"LC_CTYPE"} <= {*SETTINGS, *PLACE, "ON_TERM"}
    assert SETTINGS.items() <= seen.items()


def test_a_manifest_can_neither_change_the_apps_address_nor_detach_it_from_the_lab(tmp_path: Path) -> None:
    theirs = {"LAB_LIFELINE": "0", "BIND_ADDRESS": "0.0.0.0", "BIND_PORT": "1", "HOSTNAME": "other"}
    seen, log = asyncio.run(started(tmp_path, {"env": env(**theirs, **SETTINGS)}, []))
    assert (seen["LAB_LIFELINE"], seen["HOSTNAME"]) == ("1", "p")
    assert seen["BIND_ADDRESS"].startswith("127.")
    assert log == f"listening on {seen['BIND_ADDRESS']}:8080\n"


def test_no_command_of_a_manifest_is_run_and_no_file_of_this_machine_is_mounted(tmp_path: Path) -> None:
    touch = ["/bin/sh", "-c", f"sleep 0; touch {tmp_path / 'ran'}"]
    probe = {"exec": {"command": touch}, "periodSeconds": 1}
    container = {
        "command": touch,
        "args": touch,
        "workingDir": str(tmp_path),
        "lifecycle": {"preStop": {"exec": {"command": touch}}, "postStart": {"exec": {"command": touch}}},
        **dict.fromkeys(("readinessProbe", "livenessProbe", "startupProbe"), probe),
        "volumeMounts": [{"name": "host", "mountPath": str(tmp_path / "mounted"), "subPath": "../../etc"}],
        "env": env(**SETTINGS),
    }
    pod = {
        "initContainers": [{"name": "first", "image": "x:1", "command": touch}],
        "volumes": [{"name": "host", "hostPath": {"path": "/etc", "type": "DirectoryOrCreate"}}],
        "terminationGracePeriodSeconds": 2,
    }
    _, log = asyncio.run(started(tmp_path, container, [], pod, ends=True))
    assert log.startswith("listening on ")
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


def test_only_variables_that_the_app_reads_are_passed() -> None:
    """Read from its text, so that a new setting cannot be forgotten."""
    read = {
        call.args[0].value
        for call in ast.walk(ast.parse(Path(app.__file__).read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
        and (
            (isinstance(call.func, ast.Name) and call.func.id == "number")
            or (isinstance(call.func, ast.Attribute) and call.func.attr == "get")
        )
    }
    assert read == APP_VARIABLES | PLACE


def test_an_environment_value_too_long_for_a_process_fails_the_container_only(
    tmp_path: Path, write: Write
) -> None:
    bad = deployment(replicas=1, container={"env": env(WORK_MS="x" * 200_000)}, progressDeadlineSeconds=2)
    file = write(bad, service())

    async def scenario() -> None:
        async with running(LabPlan(manifests=(file,), tls=False), tmp_path / "lab"):
            pytest.fail("it came up")

    with pytest.raises(
        Exception, match="did not become available within its progressDeadlineSeconds: Failed"
    ):
        asyncio.run(scenario())


def test_neither_the_lab_nor_its_balancer_nor_a_pod_inherits_our_environment_or_folder(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(deployment(replicas=1, container={"env": env(**SETTINGS)}), service())
    theirs = attacks(tmp_path)
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    home = tmp_path / "lab"
    for folder in (tmp_path, home, home / "pods"):
        folder.mkdir(exist_ok=True)
        (folder / "harness").mkdir()
        for name in ("sitecustomize.py", "uvloop.py", "json.py", "harness/__init__.py"):
            (folder / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)

    async def scenario() -> list[dict[str, str]]:
        async with running(LabPlan(manifests=(file,), tls=False, lag_ns=0), home) as lab:
            return [environ(pid) for pid in (lab.pid, *descendants(lab.pid))]

    processes: list[Any] = asyncio.run(scenario())
    assert len(processes) == 3  # the lab, its balancer, a pod
    assert not (tmp_path / "ran").exists()
    assert not list(tmp_path.glob("ran.*"))
    for seen in processes:
        # TMPDIR is where the lab itself keeps its secrets; the user chose it.
        assert not {name for name in theirs if name in seen} - {"TMPDIR"}, seen
