"""The index beside a stored run, which may be a stranger's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import RecordingError
from harness.storage.contents import (
    MOST_FILES,
    File,
    Index,
    digests,
    from_json,
    identity,
    is_file_name,
    to_json,
)

if TYPE_CHECKING:
    from pathlib import Path

RUN = "ab" * 32
FILE = File("hits/0.arrow", 3, "cd" * 32)


def read(**changed: Any) -> Index:
    raw = json.loads(to_json(Index(RUN, whole=True, files=(FILE,))))
    return from_json(json.dumps(raw | changed).encode(), "s3://b/x")


def test_what_is_written_is_read() -> None:
    assert read() == Index(RUN, whole=True, files=(FILE,))


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "/etc/passwd", "a/../b", "a//b", "a/", ".hidden", "a/.hidden", "a\\b", "a\nb",
     "a\0b", "x" * 300, "a/b/c/d/e/f/g", "~root", "-rf", "b\u00e4r"],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    assert not is_file_name(name)
    with pytest.raises(RecordingError, match="was not written by zdtest, or is damaged"):
        read(files=[{"name": name, "bytes": 1, "sha256": "cd" * 32}])


@pytest.mark.parametrize(
    "changed",
    [
        {"run": "x"},
        {"run": 5},
        {"whole": "yes"},
        {"files": {}},
        {"files": [{"name": "a"}]},
        {"files": [{"name": "a", "bytes": -1, "sha256": "cd" * 32}]},
        {"files": [{"name": "a", "bytes": True, "sha256": "cd" * 32}]},
        {"files": [{"name": "a", "bytes": 1 << 60, "sha256": "cd" * 32}]},
        {"files": [{"name": "a", "bytes": 1, "sha256": "cd"}]},
        {"files": [{"name": "a", "bytes": 1, "sha256": "cd" * 32}] * 2},
        {"files": [{"name": f"a{n}", "bytes": 1, "sha256": "cd" * 32} for n in range(MOST_FILES + 1)]},
        {"format": "1"},
    ],
)
def test_no_other_damage_is_accepted(changed: dict[str, Any]) -> None:
    with pytest.raises(RecordingError, match="was not written by zdtest, or is damaged"):
        read(**changed)


def test_a_newer_index_asks_for_a_newer_zdtest() -> None:
    with pytest.raises(RecordingError, match="use the newer zdtest"):
        read(format=2)


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{", b'{"host": 1, "wall_ns": 1, "monotonic_ns": 2}'])
def test_what_is_no_run_json_has_no_identity(text: bytes) -> None:
    with pytest.raises(RecordingError, match="was not written by zdtest"):
        identity(text)


def test_a_run_is_another_one_if_its_host_or_either_clock_differs() -> None:
    def of(host: str, wall: int, monotonic: int) -> str:
        record = {"host": {"name": host}, "wall_ns": wall, "monotonic_ns": monotonic, "state": "complete"}
        return identity(json.dumps(record).encode())

    assert len({of("a", 1, 2), of("b", 1, 2), of("a", 2, 2), of("a", 1, 3)}) == 4
    assert of("a", 1, 2) == of("a", 1, 2)


def test_links_and_hidden_files_are_not_stored(tmp_path: Path) -> None:
    (tmp_path / "hits").mkdir()
    (tmp_path / "hits" / "0.arrow").write_bytes(b"abc")
    (tmp_path / "passwd").symlink_to("/etc/passwd")
    (tmp_path / "etc").symlink_to("/etc")
    (tmp_path / ".scratch").write_bytes(b"x")
    (tmp_path / "a b").write_bytes(b"x")
    assert [file.name for file in digests(tmp_path)] == ["hits/0.arrow"]
