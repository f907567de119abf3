"""FILE and FOLDER of the command line -> the scenarios of a suite, or one line about what is wrong.

A file is a suite file if it has `scenarios:`, else a scenario. A folder is all its scenarios, in the order of their
names: its *.yaml, and each folder in it that has a zdtest.yaml. A Kubernetes manifest beside them is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pydantic
import yaml

from harness import typedpaths
from harness.errors import UsageError
from harness.scenario import yamltext
from harness.scenario.catalogue import find, not_found
from harness.scenario.reading import read_file, said, validate
from harness.scenario.resolve import DEFAULT_FILE, shipped
from harness.suite.fields import anchored, merged
from harness.suite.schema import Listing, SuiteFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_SUFFIXES = frozenset({".yaml", ".yml"})


@dataclass(frozen=True, slots=True)
class Listed:
    """One scenario of a suite, as it was found. `defaults` hold where its file says nothing, `overrides` always do."""

    file: Path
    name: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    allow: str = ""
    shares: tuple[str, ...] = ()
    place: str = ""  # "nightly.yaml:7", where a suite file lists it


@dataclass(frozen=True, slots=True)
class Found:
    """All scenarios, in order, and what the first suite file says about how to run them. Times in ns."""

    name: str
    listed: tuple[Listed, ...]
    parallel: int | None = None
    budget_ns: int | None = None
    run_timeout_ns: int | None = None


def find_all(paths: Sequence[Path]) -> Found:
    """Return the scenarios that these paths name. Raises UsageError, one line."""
    if not paths:
        raise UsageError("no scenario: give FILE or FOLDER of scenarios, or a suite file that lists them")
    listed: list[Listed] = []
    first: SuiteFile | None = None
    for path in paths:
        read = _suite_file(path)
        if read is None:
            listed += _scenarios(path, "")
            continue
        suite, lines = read
        first = first or suite
        listed += _of_suite_file(path, suite, lines)
    name = (first.name if first else None) or _named(paths[0].absolute().name)
    settings = (first.parallel, first.budget, first.run_timeout) if first else (None, None, None)
    return Found(name, tuple(listed), *settings)


def _named(file: str) -> str:
    """Return a suite's name made of a file's or a folder's."""
    stem = re.sub(r"\.ya?ml$", "", file.lower())
    return re.sub(r"[^a-z0-9.-]+", "-", stem).strip("-.")[:80] or "suite"


def _suite_file(path: Path) -> tuple[SuiteFile, dict[tuple[str, ...], int]] | None:
    """Read a suite file; None for what is none. Raises UsageError."""
    if not typedpaths.is_file(path):
        return None
    data, lines = read_file(path)
    if "scenarios" not in data:
        return None
    try:
        found = SuiteFile.model_validate(data)
    except pydantic.ValidationError as error:
        raise UsageError(_fault(path, lines, error)) from None
    for which in ("defaults", "overrides"):
        _check(getattr(found, which), (which,), path, lines)
    for number, one in enumerate(found.scenarios):
        _check(one.overrides, ("scenarios", str(number), "overrides"), path, lines)
    return found, lines


def _fault(path: Path, lines: Mapping[tuple[str, ...], int], error: pydantic.ValidationError) -> str:
    first = error.errors()[0]
    where = tuple(str(step) for step in first["loc"])
    model = Listing if where[:1] == ("scenarios",) else SuiteFile
    text = said(first)
    if first["type"] == "extra_forbidden":
        text = f"no such field; use one of {', '.join(sorted(model.model_fields))}"
    line = next((lines[where[:n]] for n in range(len(where), 0, -1) if where[:n] in lines), 1)
    return f"{path}:{line}: {'.'.join(where)}: {text}"


def _check(
    fields: Mapping[str, Any], where: tuple[str, ...], path: Path, lines: Mapping[tuple[str, ...], int]
) -> None:
    """Refuse fields that no scenario has, or values that none can have, at their line in the suite file."""
    here = {at[len(where) :]: line for at, line in lines.items() if at[: len(where)] == where and at != where}
    validate(dict(fields), {}, path, here, in_part=True)


def _of_suite_file(path: Path, suite: SuiteFile, lines: Mapping[tuple[str, ...], int]) -> Iterator[Listed]:
    base = path.parent
    defaults = anchored(suite.defaults, base)
    for number, one in enumerate(suite.scenarios):
        place = f"{path}:{lines.get(('scenarios', str(number)), 1)}"
        found = list(_scenarios(base / one.file, place, one.file))
        if one.name and len(found) > 1:
            raise UsageError(f"{place}: {one.file} holds {len(found)} scenarios, which cannot have one name")
        for scenario in found:
            yield Listed(
                scenario.file,
                one.name or "",
                defaults,
                anchored(merged(suite.overrides, one.overrides), base),
                one.allow or "",
                one.shares,
                place,
            )


def _scenarios(path: Path, place: str, word: str = "") -> Iterator[Listed]:
    """Yield the scenarios of a path; `word` is how a suite file names it. Raises UsageError."""
    at = f"{place}: " if place else ""
    if typedpaths.is_dir(path):
        yield from _of_folder(path, at)
    elif typedpaths.exists(path):
        if place and "scenarios" in read_file(path)[0]:
            raise UsageError(f"{at}{path} is a suite file, and a suite lists scenarios only")
        yield Listed(path, place=place)
    elif not path.suffix:
        yield from _shipped(word or path.as_posix(), at)
    else:
        raise UsageError(f"{at}no such file: {path}")


def _shipped(name: str, at: str) -> Iterator[Listed]:
    found = find(name, shipped())
    if found is not None:
        yield Listed(found / DEFAULT_FILE)
    elif re.fullmatch(r"[\w-]+", name) and typedpaths.is_dir(shipped() / name):
        yield from _of_folder(shipped() / name, at)
    else:
        raise UsageError(f"{at}{not_found(name, shipped())}")


def _of_folder(folder: Path, at: str) -> Iterator[Listed]:
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{at}{folder} cannot be read: {error.strerror}") from None
    found = []
    for path in inside:
        if path.name.startswith("."):
            continue
        if path.suffix in _SUFFIXES and yamltext.is_file(path) and not _is_manifest(path):
            if "scenarios" in read_file(path)[0]:
                raise UsageError(
                    f"{at}{folder} holds a suite file, {path.name}: give that file, or move it elsewhere"
                )
            found.append(Listed(path))
        elif typedpaths.is_file(path / DEFAULT_FILE):
            found.append(Listed(path / DEFAULT_FILE))
    if not found:
        raise UsageError(
            f"{at}no scenario in {folder}: neither a *.yaml that is one, nor a folder with a {DEFAULT_FILE}"
        )
    yield from found


def _is_manifest(path: Path) -> bool:
    """Whether a file's first document is a Kubernetes object. What cannot be read is none, and is refused later."""
    try:
        node = next(yamltext.nodes(yamltext.read_text(path)), None)
    except (OSError, ValueError, yaml.YAMLError):
        return False
    keys = {key.value for key, _ in node.value} if isinstance(node, yaml.MappingNode) else set()
    return {"apiVersion", "kind"} <= keys
