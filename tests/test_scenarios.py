"""The scenarios that come with zdtest. Run as a program, this file regenerates the ConfigMap with the sample app."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.lab.app import Settings
from harness.lab.manifests import load
from harness.scenario.catalogue import Entry, entries
from harness.scenario.resolve import Request, resolve

ROOT = Path(__file__).parents[1]
APP = ROOT / "harness/lab/app.py"
CONFIG_MAP = ROOT / "scenarios/seed/base/configmap.yaml"
LADDER = ("1-no-probe", "2-readiness", "3-prestop", "4-grace")
ALL = [ROOT / "zdtest.yaml", *sorted((ROOT / "scenarios").rglob("zdtest.yaml"))]
LABELLED = [file for file in ALL if file.parts[-3] in {"faults", "clean", "cases"}]
KUBELET_EXTRA_S = 2  # what a pod gets when its hook has used up the grace period


def config_map() -> str:
    """Return the manifest that carries the app to a cluster."""
    lines = "".join(f"    {line}\n" if line else "\n" for line in APP.read_text().splitlines())
    head = "# A copy of harness/lab/app.py; `python tests/test_scenarios.py` regenerates it.\n"
    return f"{head}apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: web-app}}\ndata:\n  app.py: |\n{lines}"


def manifests(file: Path) -> dict[str, dict[str, Any]]:
    """Return a scenario's objects by kind."""
    listed = yaml.safe_load(file.read_text())["manifests"]
    found = [thing for name in listed for thing in documents((file.parent / name).resolve())]
    return {thing["kind"]: thing for thing in found}


@cache
def listed(root: Path) -> dict[Path, Entry]:
    return {entry.path: entry for entry in entries(root)}


@cache
def documents(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text()))


def pod_spec(file: Path) -> dict[str, Any]:
    spec: dict[str, Any] = manifests(file)["Deployment"]["spec"]["template"]["spec"]
    return spec


def settings(file: Path) -> Settings:
    return Settings.read({entry["name"]: entry["value"] for entry in pod_spec(file)["containers"][0]["env"]})


def step(name: str) -> Path:
    return ROOT / "scenarios/seed" / name / "zdtest.yaml"


def stop_times(file: Path) -> tuple[float, float, float]:
    """Return, in seconds after a pod's deletion: SIGTERM, SIGKILL, and when the balancer stops using it."""
    spec = pod_spec(file)
    grace = spec.get("terminationGracePeriodSeconds", 30)
    command = (
        spec["containers"][0]
        .get("lifecycle", {})
        .get("preStop", {})
        .get("exec", {})
        .get("command", ["sleep 0"])[-1]
    )
    hook = float(command.removeprefix("sleep "))
    term = min(hook, grace)
    return (
        term,
        max(grace, term + KUBELET_EXTRA_S),
        float(yaml.safe_load(file.read_text())["lab"]["lag"].rstrip("s")),
    )


def test_the_config_map_holds_the_sample_app_byte_for_byte() -> None:
    text = CONFIG_MAP.read_text()
    assert yaml.safe_load(text)["data"]["app.py"].encode() == APP.read_bytes(), (
        "run: python tests/test_scenarios.py"
    )
    assert text == config_map()


@pytest.mark.parametrize("file", ALL, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_scenario_is_read_by_zdtest_and_its_manifests_exist(file: Path) -> None:
    plan = resolve(Request(file=file), ROOT)
    assert plan.use_lab
    assert len(plan.lab_plan().manifests) == 2
    for name in yaml.safe_load(file.read_text())["manifests"]:
        assert (file.parent / name).is_file()


@pytest.mark.parametrize("file", ALL, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_scenario_says_in_one_comment_what_it_is_for(file: Path) -> None:
    lines = file.read_text().splitlines()
    comment = [line for line in lines if line.startswith("#")]
    assert comment
    assert comment == lines[: len(comment)]


@pytest.mark.parametrize("file", ALL, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_manifests_fit_together(file: Path) -> None:
    things = manifests(file)
    deployment, service = things["Deployment"], things["Service"]
    template = deployment["spec"]["template"]
    container = template["spec"]["containers"][0]
    assert deployment["metadata"]["name"] == yaml.safe_load(file.read_text())["workload"].removeprefix(
        "deployment/"
    )
    assert (
        service["spec"]["selector"]
        == deployment["spec"]["selector"]["matchLabels"]
        == template["metadata"]["labels"]
    )
    assert (
        service["spec"]["ports"][0]["targetPort"]
        == container["ports"][0]["containerPort"]
        == settings(file).port
    )
    volume = template["spec"]["volumes"][0]
    assert volume["configMap"]["name"] == things["ConfigMap"]["metadata"]["name"]
    mount = container["volumeMounts"][0]
    assert mount["name"] == volume["name"]
    assert container["command"][-1] == f"{mount['mountPath']}/{next(iter(things['ConfigMap']['data']))}"


@pytest.mark.parametrize("file", LABELLED, ids=lambda file: "/".join(file.parts[-3:-1]))
def test_a_labelled_scenario_has_its_fault_in_its_name_and_says_what_to_learn(file: Path) -> None:
    entry = listed(file.parents[1])[file.parent]
    wanted = "clean" if file.parts[-3] == "clean" else entry.name.partition("-")[0]
    assert entry.label == wanted
    assert "Learn:" in entry.text
    assert yaml.safe_load(file.read_text())["name"] == f"{file.parts[-3]}-{entry.name}".lower()


def test_at_least_twenty_causes_have_a_scenario() -> None:
    labels = {yaml.safe_load(file.read_text())["label"] for file in LABELLED}
    assert len(labels - {"clean"}) >= 20


@pytest.mark.parametrize("file", LABELLED, ids=lambda file: "/".join(file.parts[-3:-1]))
def test_the_lab_models_all_that_a_labelled_scenario_uses(file: Path) -> None:
    assert load((str(file.parent / "app.yaml"),)).notes == ()


def test_each_step_of_the_ladder_adds_to_the_one_before_and_changes_nothing_else() -> None:
    def lines(name: str) -> list[str]:
        return [
            line
            for line in (step(name).parent / "app.yaml").read_text().splitlines()
            if "terminationGracePeriod" not in line
        ]

    for before, after in itertools.pairwise(LADDER):
        rest = iter(lines(after))
        assert all(line in rest for line in lines(before)), f"{after} takes something away that {before} has"
        same = {"name"}
        old, new = (yaml.safe_load(step(name).read_text()) for name in (before, after))
        assert {k: v for k, v in old.items() if k not in same} == {
            k: v for k, v in new.items() if k not in same
        }


def test_step_1_has_neither_probe_nor_hook_and_starts_more_slowly_than_the_lag() -> None:
    container = pod_spec(step("1-no-probe"))["containers"][0]
    assert not {"readinessProbe", "lifecycle"} & container.keys()
    assert settings(step("1-no-probe")).startup > stop_times(step("1-no-probe"))[2]


def test_in_step_2_sigterm_comes_before_the_balancer_lets_go() -> None:
    assert "readinessProbe" in pod_spec(step("2-readiness"))["containers"][0]
    term, _, lag = stop_times(step("2-readiness"))
    assert term < lag


def test_in_step_3_the_hook_outlasts_the_lag_but_a_slow_request_outlasts_the_kill() -> None:
    term, kill, lag = stop_times(step("3-prestop"))
    slow = settings(step("3-prestop")).slow_ms / 1000
    assert term >= lag + 1
    assert slow > kill > slow - lag, (
        "requests that began before the balancer let go are cut, a window of lag + slow - kill"
    )
    # With a target more than replicas during the surge, at least one request of that window is a slow one on each pod.
    app, load = settings(step("3-prestop")), yaml.safe_load(step("3-prestop").read_text())["load"]
    mean_s = (app.work_ms + app.slow_ms / app.slow_every) / 1000
    slow_per_pod = load["concurrency"] / mean_s / 4 / app.slow_every
    assert slow_per_pod * (lag + slow - kill) > 1


def test_in_step_4_the_slowest_request_ends_before_the_kill() -> None:
    term, kill, lag = stop_times(step("4-grace"))
    slow = settings(step("4-grace")).slow_ms / 1000
    assert term >= lag + 1
    assert kill >= term + slow + 1


@pytest.mark.parametrize("name", LADDER)
def test_nothing_but_the_rollout_can_make_a_request_fail(name: str) -> None:
    lab = yaml.safe_load(step(name).read_text())["lab"]
    slow = settings(step(name)).slow_ms / 1000
    assert slow < float(lab["idle_timeout"].rstrip("s"))
    assert slow < 5, "from here on a hit counts as stalled"


@pytest.mark.parametrize("file", LABELLED, ids=lambda file: file.parent.name)
def test_a_scenario_lists_its_special_needs_of_a_real_cluster(file: Path) -> None:
    data = yaml.safe_load(file.read_text())
    part = data["lab"]
    special = {"registration", "health_check", "deregistration_delay", "lag_tail"} & part.keys()
    hook = (pod_spec(file)["containers"][0].get("lifecycle") or {}).get("preStop") or {}
    unusual = bool(special) or part["profile"] == "service" or "sleep" in hook
    assert bool(data.get("needs")) is unusual


if __name__ == "__main__":
    CONFIG_MAP.write_text(config_map())
