"""FILE and FOLDER -> scenarios; and what is refused, in one line, before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from harness.errors import UsageError
from harness.scenario.resolve import shipped
from harness.suite.fields import anchored, dotted, merged
from harness.suite.files import find_all
from harness.suite.jobs import chosen, jobs_of

if TYPE_CHECKING:
    from pathlib import Path

    from harness.suite.jobs import Job

MANIFEST = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n---\nkind: Service\n"


def scenario(path: Path, name: str = "", **fields: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {
        "name": name or path.stem, "target": {"url": f"http://{name or path.stem}.example/"},
        "workload": "deployment/web", "namespace": "shop", "cluster": {"context": "staging"}, **fields,
    }  # fmt: skip
    path.write_text(yaml.safe_dump(whole))
    return path


def jobs(here: Path, *paths: Path, **flags: object) -> tuple[Job, ...]:
    return jobs_of(find_all(paths), flags, (), here, interactive=False, limit=None)


def names(found: tuple[Job, ...]) -> list[str]:
    return [job.entry.name for job in found]


def test_a_folder_is_all_its_scenarios_by_name_and_no_manifest(tmp_path: Path) -> None:
    for name in ("web", "api", "mail"):
        scenario(tmp_path / "all" / f"{name}.yaml")
    scenario(tmp_path / "all" / "db" / "zdtest.yaml", "db")
    (tmp_path / "all" / "app.yaml").write_text(MANIFEST)
    (tmp_path / "all" / "notes.txt").write_text("none")
    assert names(jobs(tmp_path, tmp_path / "all")) == ["api", "db", "mail", "web"]


def test_shipped_scenarios_are_found_by_name_and_by_folder(tmp_path: Path) -> None:
    from pathlib import Path as Given

    assert names(jobs(tmp_path, Given("seed/1-no-probe"))) == ["seed-1-no-probe"]
    assert len(jobs(tmp_path, Given("clean"))) == len(list((shipped() / "clean").iterdir()))


def test_a_suite_file_lists_scenarios_with_defaults_and_overrides(tmp_path: Path) -> None:
    scenario(tmp_path / "web.yaml", load={"concurrency": 7})
    scenario(tmp_path / "api.yaml")
    (tmp_path / "nightly.yaml").write_text(
        "name: nightly\nparallel: 3\nbudget: 5h\nrun_timeout: 20m\n"
        "defaults: {load: {concurrency: 20, duration: 2m}}\n"
        "overrides: {rollout: {settle: 9s}}\n"
        "scenarios:\n- web.yaml\n- {file: api.yaml, name: api-post, overrides: {target: {method: POST}},"
        " shares: edge}\n"
    )
    found = find_all([tmp_path / "nightly.yaml"])
    assert (found.name, found.parallel, found.budget_ns, found.run_timeout_ns) == (
        "nightly", 3, 5 * 3600 * 10**9, 20 * 60 * 10**9,
    )  # fmt: skip
    web, api = jobs(tmp_path, tmp_path / "nightly.yaml")
    assert web.resolved.scenario.load.concurrency == 7  # the file outranks a default
    assert api.resolved.scenario.load.concurrency == 20
    assert web.resolved.scenario.load.duration == api.resolved.scenario.load.duration == 120 * 10**9
    assert web.resolved.scenario.rollout.settle == 9 * 10**9
    assert (api.entry.name, api.resolved.scenario.target.method) == ("api-post", "POST")
    assert "edge" in api.entry.shares


def test_a_flag_outranks_every_file(tmp_path: Path) -> None:
    scenario(tmp_path / "web.yaml", load={"concurrency": 7})
    (tmp_path / "s.yaml").write_text("overrides: {load: {concurrency: 8}}\nscenarios: [web.yaml]\n")
    [web] = jobs(tmp_path, tmp_path / "s.yaml", **{"load.concurrency": 9})
    assert web.resolved.scenario.load.concurrency == 9


def test_paths_in_a_suite_file_are_relative_to_it(tmp_path: Path) -> None:
    fields = {"target": {"body_file": "b.txt", "url": "http://x"}, "rollout": {"trigger": "apply app.yaml"}}
    assert anchored({**fields, "manifests": ["m.yaml"]}, tmp_path) == {
        "target": {"body_file": str(tmp_path / "b.txt"), "url": "http://x"},
        "rollout": {"trigger": f"apply {tmp_path / 'app.yaml'}"},
        "manifests": [str(tmp_path / "m.yaml")],
    }
    assert fields["target"] == {"body_file": "b.txt", "url": "http://x"}, "what was given is left alone"


def test_fields_are_merged_at_any_depth_and_headers_stay_one_field() -> None:
    both = merged(
        {"load": {"rate": 5, "ramp": "1s"}}, {"load": {"rate": 9}, "target": {"headers": {"A": "b"}}}
    )
    assert dotted(both) == {"load.rate": 9, "load.ramp": "1s", "target.headers": {"A": "b"}}


def test_runs_share_a_balancer_by_host_and_port_and_a_workload_by_name(tmp_path: Path) -> None:
    scenario(tmp_path / "a.yaml", target={"url": "http://Edge.example/a"})
    scenario(tmp_path / "b.yaml", target={"url": "http://edge.example:80/b"}, workload="sts/db")
    scenario(
        tmp_path / "c.yaml", target={"url": "https://edge.example/", "resolve": "edge.example:443:10.0.0.7"}
    )
    a, b, c = (set(job.entry.shares) for job in jobs(tmp_path, *sorted(tmp_path.glob("*.yaml"))))
    assert a & b == {"edge.example:80"}
    assert a & c == {"Deployment shop/web in staging"}
    assert "10.0.0.7:443" in c


def test_all_runs_on_the_lab_share_it(tmp_path: Path) -> None:
    from pathlib import Path as Given

    assert [job.entry.shares for job in jobs(tmp_path, Given("seed/1-no-probe"))] == [("the embedded lab",)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scenarios: []", "s.yaml:1: scenarios: "),
        ("scenarios: [none.yaml]", "s.yaml:1: no such file"),
        ("scenarios:\n- web.yaml\n- web.yaml", "two scenarios are called web: "),
        (
            "scenarios: [web.yaml]\nparalel: 2",
            "s.yaml:2: paralel: no such field; use one of budget, defaults",
        ),
        ("scenarios: [web.yaml]\nbudget: soon", "s.yaml:2: budget: 'soon' is not a duration"),
        (
            "scenarios: [web.yaml]\ndefaults:\n  load: {concurrency: 0}",
            "s.yaml:3: load.concurrency: must be at least 1",
        ),
        ("scenarios: [web.yaml]\ndefaults: {lod: {}}", "s.yaml:2: lod: no such field"),
        (
            "scenarios:\n- file: web.yaml\n  overrides: {target: {method: FETCH}}",
            "s.yaml:3: target.method: must be 'GET'",
        ),
        ("scenarios: [s.yaml]", "is a suite file, and a suite lists scenarios only"),
        ("scenarios: [{file: all, name: x}]", "s.yaml:1: all holds 2 scenarios, which cannot have one name"),
        ("scenarios: [empty]", "no scenario in "),
        (
            "scenarios: [{file: web.yaml, overrides: {load: {ramp: 5s}}}]",
            "ramp raises a rate, and there is none",
        ),
        ("scenarios: [{file: web.yaml, overrides: {namespace: prod}}]", "'prod' looks like production"),
        (
            "scenarios: [{file: web.yaml, overrides: {target: {headers: {A: '${NOWHERE_SET}'}}}}]",
            "NOWHERE_SET",
        ),
        ("scenarios: [all]", "two.yaml:1: "),
        ("scenarios: [clen/prestop]", "no such scenario: clen/prestop"),
    ],
)
def test_what_cannot_run_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    scenario(tmp_path / "web.yaml")
    scenario(tmp_path / "all" / "one.yaml")
    (tmp_path / "all" / "two.yaml").write_text("nonsense: true\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(UsageError) as refused:
        jobs(tmp_path, tmp_path / "s.yaml")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_fields_that_need_each_other_may_stand_in_different_places(tmp_path: Path) -> None:
    scenario(tmp_path / "web.yaml", load={"rate": 100})
    (tmp_path / "s.yaml").write_text("defaults: {load: {ramp: 5s}}\nscenarios: [web.yaml]\n")
    [web] = jobs(tmp_path, tmp_path / "s.yaml")
    assert web.resolved.scenario.load.ramp == 5 * 10**9


def test_a_folder_with_a_suite_file_in_it_is_refused(tmp_path: Path) -> None:
    scenario(tmp_path / "web.yaml")
    (tmp_path / "nightly.yaml").write_text("scenarios: [web.yaml]\n")
    with pytest.raises(UsageError, match=r"holds a suite file, nightly\.yaml: give that file"):
        find_all([tmp_path])


def test_without_any_path_it_says_what_to_give() -> None:
    with pytest.raises(UsageError, match="no scenario: give FILE or FOLDER"):
        find_all([])


def test_some_can_be_chosen_by_name(tmp_path: Path) -> None:
    for name in ("web", "api"):
        scenario(tmp_path / f"{name}.yaml")
    found = jobs(tmp_path, tmp_path)
    assert names(chosen(found, ["web"])) == ["web"]
    with pytest.raises(UsageError, match="--only wb: no scenario of this name; there are api, web"):
        chosen(found, ["wb"])


def test_a_manifest_that_changes_changes_the_digest(tmp_path: Path) -> None:
    scenario(tmp_path / "s" / "web.yaml", manifests=["app.yaml"])
    (tmp_path / "s" / "app.yaml").write_text(MANIFEST)
    [before] = jobs(tmp_path, tmp_path / "s")
    (tmp_path / "s" / "app.yaml").write_text(MANIFEST + "# more\n")
    [after] = jobs(tmp_path, tmp_path / "s")
    assert before.entry.digest != after.entry.digest
