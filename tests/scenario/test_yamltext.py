"""A stranger's YAML is bounded in cost wherever it is read, and ordinary YAML still works."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness import cli
from harness.cli.manifests.manifestfiles import from_text
from harness.cluster.trigger import manifest_from
from harness.lab import manifests
from harness.scenario.reading import read_file
from harness.scenario.targetfile import read_targets
from harness.scenario.yamltext import load, load_all
from tests.complaints import complaint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOES = "\n".join(
    [
        "a: &a [x,x,x,x,x,x,x,x,x]",
        *(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    ]
)
MERGES = "\n".join(
    [
        "a: &a {k: 1, l: 2}",
        *(
            f"{b}: &{b} {{<<: [{','.join([f'*{a}'] * 9)}]}}"
            for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
    ]
)
NESTED_MERGES = "a: &a {k0: 1}\n" + "\n".join(
    f"m{n}: &m{n} {{<<: [*{'a' if n == 0 else f'm{n - 1}'}, *{'a' if n == 0 else f'm{n - 1}'}], k{n + 1}: 1}}"
    for n in range(60)
)
LONG_TEXT = "t: &t '" + "x" * 1_000_000 + "'\nall: [" + ",".join(["*t"] * 500) + "]"
BOMBS = {
    "aliases": (GOES, "aliases stand for over 100,000 values"),
    "merges": (MERGES, "aliases stand for over 100,000 values"),
    "nested merges": (NESTED_MERGES, "aliases stand for over 100,000 values"),
    "long text": (LONG_TEXT, "aliases stand for over 100,000 values"),
    "keys": ("a: &a [1]\n? *a\n: 1", "unhashable"),
    "itself": ("a: &a [*a]", "contains itself"),
    "itself, merged": ("a: &a {<<: *a}", "contains itself"),
    "depth": ("a: " + "[" * 100_000, "nested over 100 levels"),
    "block depth": ("\n".join(" " * n + "a:" for n in range(2000)), "nested over 100 levels"),
    "a huge number": ("a: " + "9" * 5000, "a number has 5,000 digits"),
    "a huge number in hexadecimal": ("a: 0x" + "f" * 100_000, "a number has 100,002 digits"),
    "a huge number in sixties": ("a: 1" + ":59" * 100_000, "a number has 300,001 digits"),
    "an impossible date": ("a: !!timestamp oh", "its value cannot be read"),
    "an empty number": ('a: !!int ""', "its value cannot be read"),
    "no truth": ("a: !!bool oh", "its value cannot be read"),
    "a call": ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_is_beyond_the_bounds_is_refused_at_once(bomb: str) -> None:
    text, said = BOMBS[bomb]
    began = time.process_time()
    with pytest.raises(yaml.YAMLError, match=said):
        load(text)
    assert time.process_time() - began < 20  # of the processor; without bounds it is hours


READERS: dict[str, Callable[[Path], object]] = {
    "a scenario": read_file,
    "lint": lambda path: from_text(path.read_text(), str(path)),
    "the lab": lambda path: manifests.load((str(path),)),
    "a trigger": lambda path: manifest_from(path, {"kind": "Deployment", "metadata": {"name": "web"}}),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("bomb", [bomb for bomb in BOMBS if bomb != "long text"])
def test_every_reader_of_yaml_has_these_bounds_and_names_the_line(
    tmp_path: Path, reader: str, bomb: str
) -> None:
    text, said = BOMBS[bomb]
    file = tmp_path / "some.yaml"
    file.write_text(text)
    line = complaint(lambda: READERS[reader](file))
    assert said in line
    assert f"{file}:" in line
    assert len(line) < 400


@pytest.mark.parametrize("reader", READERS)
def test_a_file_without_end_is_refused(tmp_path: Path, reader: str) -> None:
    file = tmp_path / "some.yaml"
    file.symlink_to("/dev/zero")
    if reader == "lint":
        from harness.cli.manifests.manifestfiles import from_files

        assert "the most that is read" in complaint(lambda: from_files(file))
    else:
        assert "the most that is read" in complaint(lambda: READERS[reader](file))


def test_targets_and_bodies_without_end_are_refused(tmp_path: Path) -> None:
    (tmp_path / "endless").symlink_to("/dev/zero")
    assert "the most that is read" in complaint(lambda: read_targets(tmp_path / "endless"))
    (tmp_path / "targets").write_text("POST https://shop.example/\n@endless\n")
    assert "the most that is read" in complaint(lambda: read_targets(tmp_path / "targets"))
    (tmp_path / "deep").write_text('{"method": ' + "[" * 100_000)
    assert "not JSON" in complaint(lambda: read_targets(tmp_path / "deep"))


def test_a_folder_of_manifests_may_hold_pipes_and_devices(tmp_path: Path) -> None:
    from harness.cli.manifests.manifestfiles import from_files

    os.mkfifo(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").symlink_to("/dev/zero")
    (tmp_path / "c.yaml").write_text("kind: ConfigMap\nmetadata: {name: c}\n")
    (tmp_path / "d.yaml").mkdir()
    assert [item["metadata"]["name"] for item in from_files(tmp_path)] == ["c"]


def test_lint_of_a_bomb_takes_neither_time_nor_memory(tmp_path: Path) -> None:
    (tmp_path / "bomb.yaml").write_text(
        f"kind: Deployment\napiVersion: apps/v1\nmetadata: {{name: web}}\nspec:\n  x:\n{indented(GOES)}\n"
    )

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))

    done = subprocess.run(
        [sys.executable, "-m", "harness", "lint", str(tmp_path / "bomb.yaml")],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=bounded,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def test_a_scenario_that_is_a_bomb_ends_with_2_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "zdtest.yaml").write_text(GOES)
    monkeypatch.setattr("sys.argv", ["zdtest", "run", "-f", str(tmp_path / "zdtest.yaml")])
    assert cli.main() == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


ORDINARY: list[tuple[str, Any]] = [
    ("a: &a {x: 1, y: [1, 2]}\nb: *a\nc: *a", {name: {"x": 1, "y": [1, 2]} for name in "abc"}),
    ("d: &d {cpu: 1, mem: 2}\ne: {<<: *d, mem: 3}", {"d": {"cpu": 1, "mem": 2}, "e": {"cpu": 1, "mem": 3}}),
    ("a: &a {x: 1}\nb: &b {y: 2}\nc: {<<: [*a, *b]}", {"a": {"x": 1}, "b": {"y": 2}, "c": {"x": 1, "y": 2}}),
    ("a: &n web\nb: {*n : 1}", {"a": "web", "b": {"web": 1}}),
    ("a: 0x1f\nb: 1_000\nc: 1e3\nd: 1.5\ne: 1:30", {"a": 31, "b": 1000, "c": "1e3", "d": 1.5, "e": 90}),
    ("a: 2026-01-01\nb: 2026-01-01T00:00:00Z", {"a": "2026-01-01", "b": "2026-01-01T00:00:00Z"}),
    ("a: ~\nb: yes\nc: ''", {"a": None, "b": True, "c": ""}),
    ("", None),
]


@pytest.mark.parametrize(("text", "value"), ORDINARY)
def test_ordinary_yaml_is_read(text: str, value: Any) -> None:
    assert load(text) == value


def test_each_document_of_a_file_has_the_bounds_for_itself() -> None:
    one = "a: &a [" + ",".join("x" * 51_000) + "]\nb: *a\n"
    assert len(list(load_all("---\n".join([one] * 2)))) == 2  # together they are beyond them


def test_a_large_file_without_aliases_is_accepted() -> None:
    # With its names and values it has 105,000 nodes.
    assert len(load("\n".join(f"- {{name: pod-{n}, value: {n}}}" for n in range(21_000)))) == 21_000
