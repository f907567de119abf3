"""A real recording, damaged at random, is judged, or refused in one line.

It never makes the judge crash, hang, or touch a file outside the folder.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from harness import cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REAL = Path(__file__).parents[2] / "results" / "example"
TEXTS = ("run.json", "events.jsonl", "generator.jsonl", "manifests/before.json", "manifests/after.json")
ARROWS = ("hits/0.arrow", "connections/0.arrow")
REPORTS = ("verdict.json", "summary.txt", "summary.md", "timeline.png", "report.html")
VALUES: tuple[Any, ...] = (
    None, True, 0, 5, -1, 1.5, 1e300, 1 << 62, -(1 << 62), 1 << 70, float("nan"), "", "x", "9" * 30, "100%", "-5%",
    "\ud800", "$a{$",
    "2026-13-45T99:99:99Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", [], {}, [None], [5], [[]], [{}], {"a": 5},
)  # fmt: skip


def flipped(raw: bytes, chance: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(chance.choice([1, 1, 8, 64])):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(raw: bytes, chance: random.Random) -> bytes:
    return raw[: chance.randrange(len(raw))]


def torn(raw: bytes, chance: random.Random) -> bytes:
    first, second = sorted(chance.randrange(len(raw)) for _ in range(2))
    return chance.choice(
        [
            raw[:first] + raw[second:],
            raw[:second] + raw[first:],
            raw[:first] + bytes(second - first) + raw[second:],
        ]
    )


def nested(raw: bytes, chance: random.Random) -> bytes:
    at = chance.choice([0, raw.find(b"\n") + 1])
    return (
        raw[:at]
        + chance.choice([b"[", b'{"a":', b'{"object":{"a":[']) * chance.choice([50, 90, 100_000])
        + raw[at:]
    )


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from places(inner, (*at, key))


def swapped(raw: bytes, chance: random.Random) -> bytes:
    """Replace a value by one of any type, or remove one."""
    whole = raw.startswith((b"{\n", b"[\n"))
    lines = [raw] if whole else raw.splitlines()
    for _ in range(chance.choice([1, 1, 3])):
        number = chance.randrange(len(lines))
        value = json.loads(lines[number])
        *way, last = chance.choice(list(places(value)))
        inner = value
        for step in way:
            inner = inner[step]
        if chance.random() < 0.2:
            del inner[last]
        else:
            inner[last] = chance.choice(VALUES)
        lines[number] = json.dumps(value).encode()
    return lines[0] if whole else b"\n".join(lines) + b"\n"


def retyped(raw: bytes, chance: random.Random) -> bytes:
    """Rewrite rows with a column of another type, without one, compressed, or with wild numbers."""
    table = pa.ipc.open_stream(raw).read_all()
    name = chance.choice(table.schema.names)
    number = table.schema.get_field_index(name)
    rows = len(table)
    others = [
        pa.nulls(rows, table.schema.field(number).type),
        pa.array([chance.choice([-1, 0, 7, 1 << 40, (1 << 63) - 1, -(1 << 63)])] * rows, pa.int64()),
        pa.array(["x"] * rows),
        pa.array([1.5] * rows),
    ]
    how = chance.randrange(len(others) + 3)
    options = None
    if how < len(others):
        table = table.set_column(number, name, others[how])
    elif how == len(others):
        table = table.remove_column(number)
    elif how == len(others) + 1:
        table = table.append_column(name, table.column(number))
    else:
        options = pa.ipc.IpcWriteOptions(compression="zstd")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def content(
    change: Callable[[bytes, random.Random], bytes], names: tuple[str, ...]
) -> Callable[[Path, Path, random.Random], None]:
    def damage(run: Path, _: Path, chance: random.Random) -> None:
        file = run / chance.choice(names)
        if file.is_file() and not file.is_symlink() and file.stat().st_size:
            try:
                file.write_bytes(change(file.read_bytes(), chance))
            except (
                ValueError,
                pa.ArrowInvalid,
                OSError,
            ):  # damaged already, beyond what this one knows to do
                file.unlink()

    return damage


def replaced(run: Path, outside: Path, chance: random.Random) -> None:
    """Replace a file or a folder by a link, a pipe, a folder, or nothing."""
    name = chance.choice([*TEXTS, *ARROWS, *REPORTS, "hits", "connections", "manifests", "upstreams.jsonl"])
    path = run / name
    if path.parent.is_symlink() or not path.parent.is_dir():
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    how = chance.randrange(6)
    if how == 0:
        path.symlink_to(outside / chance.choice(["precious", "nothing", "run"]))
    elif how == 1:
        os.mkfifo(path)
    elif how == 2:
        path.mkdir()
    elif how == 3:
        path.symlink_to("/dev/zero")
    elif how == 4:
        path.write_bytes((REAL / chance.choice([*TEXTS, *ARROWS])).read_bytes())


DAMAGES = {
    "flipped text": content(flipped, TEXTS),
    "flipped rows": content(flipped, ARROWS),
    "cut": content(cut, (*TEXTS, *ARROWS)),
    "torn": content(torn, (*TEXTS, *ARROWS)),
    "nested": content(nested, TEXTS),
    "swapped": content(swapped, TEXTS),
    "swapped run": content(swapped, ("run.json",)),
    "swapped events": content(swapped, ("events.jsonl",)),
    "retyped": content(retyped, ARROWS),
    "replaced": replaced,
}


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_recording_is_judged_or_refused_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damage: str,
    seed: int,
) -> None:
    outside, here = tmp_path / "outside", tmp_path / "here"
    outside.mkdir()
    here.mkdir()
    (outside / "precious").write_text("mine")
    shutil.copytree(REAL, outside / "run")
    before = everything(outside)
    monkeypatch.chdir(here)
    chance = random.Random(f"{damage} {seed}")
    for turn in range(3):
        run = tmp_path / f"run-{turn}"
        shutil.copytree(REAL, run)
        for _ in range(turn + 1):
            DAMAGES[damage](run, outside, chance)
        commands = {"report": [run], "advise": [run], "compare": chance.choice([[run, REAL], [REAL, run]])}
        command = chance.choice(["report", "advise", "compare"])
        monkeypatch.setattr("sys.argv", ["zdtest", command, *map(str, commands[command])])
        code = cli.main()
        printed = capsys.readouterr()
        assert code in {0, 1, 2, 3}, printed.err
        assert len(printed.err.splitlines()) <= 1, printed.err
        if code == 2:
            assert printed.err.startswith("zdtest: ")
            assert len(printed.err) < 1500
        assert everything(outside) == before
        assert not list(here.iterdir())
        assert not list(run.glob(".*"))
