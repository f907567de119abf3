"""Scenarios by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import UsageError
from harness.scenario.catalogue import entries, find, steps
from harness.scenario.resolve import Request, resolve, shipped

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def root(tmp_path: Path) -> Path:
    def put(name: str, text: str) -> None:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "zdtest.yaml").write_text(text)

    put("seed/1-a", "# First e.g. 3 s, thing. Second thing\n# goes on. `Third`.\nlabel: B1\n")
    put("seed/2-b", "name: b\n")
    put("seed/full/1-a", "# Full.\nname: fa\n")
    put("faults/B2-x", "# X!\nname: x\n")
    return tmp_path


def test_all_are_listed_by_name_with_label_and_what_they_show(root: Path) -> None:
    found = entries(root)
    assert [entry.name for entry in found] == ["faults/B2-x", "seed/1-a", "seed/2-b", "seed/full/1-a"]
    first = found[1]
    assert (first.label, first.text) == ("B1", "First e.g. 3 s, thing. Second thing goes on. `Third`.")
    assert first.first_sentence == "First e.g. 3 s, thing."
    assert (found[2].label, found[2].first_sentence) == ("", "")


def test_a_ladder_is_a_folders_own_sub_folders_and_no_deeper_ones(root: Path) -> None:
    assert [step.name for step in steps(root / "seed")] == ["1-a", "2-b"]
    assert steps(root) == ()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("seed/1-a", "seed/1-a"),
        ("B2-x", "faults/B2-x"),
        ("1-a", None),  # two have it
        ("seed", None),
        ("nowhere", None),
        ("../seed/1-a", None),
        ("/etc", None),
    ],
)
def test_a_scenario_is_found_by_its_name_or_by_a_unique_last_part(
    root: Path, name: str, found: str | None
) -> None:
    assert find(name, root) == (root / found if found else None)


def test_f_takes_the_name_of_a_shipped_scenario_unless_such_a_path_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_scenario: Callable[[Path], None]
) -> None:
    monkeypatch.chdir(tmp_path)
    found = resolve(Request(file=Path("seed/4-grace")), tmp_path)
    assert found.base == shipped() / "seed/4-grace"
    assert found.source == "the shipped scenario seed/4-grace (the embedded lab)"
    write_scenario(tmp_path / "seed/4-grace")
    found = resolve(Request(file=Path("seed/4-grace")), tmp_path)
    assert found.base == Path("seed/4-grace")


def test_an_unknown_name_is_reported_with_similar_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such scenario: 4-grade;.* did you mean seed/4-grace"):
        resolve(Request(file=Path("4-grade")), tmp_path)


@pytest.fixture
def write_scenario() -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "zdtest.yaml").write_text("workload: web\nlab: {}\n")

    return write


def test_time_scale_shrinks_every_wait_of_the_balancer_and_needs_the_lab(tmp_path: Path) -> None:
    plain = resolve(Request(file=Path("seed/4-grace")), tmp_path).lab_plan()
    small = resolve(Request(file=Path("seed/4-grace"), flags={"lab.time_scale": 0.1}), tmp_path).lab_plan()
    assert small.lag_ns == plain.lag_ns // 10
    assert small.idle_timeout_ns == plain.idle_timeout_ns // 10
    assert small.deregistration_ns == 30_000_000_000
    with pytest.raises(UsageError, match="--time-scale is for the lab"):
        resolve(Request(flags={"lab.time_scale": 0.1, "target.url": "http://a/"}, no_rollout=True), tmp_path)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("{profile: service, tls: true}", "the profile service passes bytes on and has no TLS"),
        ("{profile: alb, tries: 2}", "the profile alb sends no request twice"),
        ("{clock_offset: --3s}", "is not a duration"),
        ("{health_check: {intervall: 3s}}", "no such field"),
    ],
)
def test_conflicting_lab_settings_are_refused(tmp_path: Path, part: str, said: str) -> None:
    (tmp_path / "zdtest.yaml").write_text(f"workload: web\nlab: {part}\n")
    with pytest.raises(UsageError, match=said):
        resolve(Request(), tmp_path)


def test_the_profile_service_is_plain_http_and_a_clock_may_be_behind(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("")
    (tmp_path / "zdtest.yaml").write_text(
        "workload: web\nmanifests: [m.yaml]\nlab: {profile: service, clock_offset: -90s}\n"
    )
    plan = resolve(Request(), tmp_path).lab_plan()
    assert (plan.tls, plan.clock_offset_ns) == (False, -90_000_000_000)
