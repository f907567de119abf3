"""Files that the user named: written in one step, readable by others, and what is no file is not replaced."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.recording.folder import publish

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_has_the_umask_s_permissions_so_that_other_programs_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        publish(tmp_path / "a.prom", "one\n")
    finally:
        os.umask(before)
    assert (tmp_path / "a.prom").read_text() == "one\n"
    assert stat.S_IMODE((tmp_path / "a.prom").stat().st_mode) == 0o644


def test_a_reader_of_the_old_file_never_sees_half_of_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "a.prom"
    publish(path, "old\n")
    with path.open() as reader:
        publish(path, "new and longer\n")
        assert reader.read() == "old\n"
    assert path.read_text() == "new and longer\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a.prom"]


def test_a_link_leads_to_the_file_that_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.xml").symlink_to("real/a.xml")
    publish(tmp_path / "link.xml", "text")
    assert (tmp_path / "link.xml").is_symlink()
    assert (tmp_path / "real" / "a.xml").read_text() == "text"


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        publish(pipe, "through\n")
        assert os.read(reader, 100) == b"through\n"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("into_a_file", [True, False])
def test_standard_output_can_be_named(tmp_path: Path, *, into_a_file: bool) -> None:
    code = (
        "from pathlib import Path; from harness.recording.folder import publish; print('first', flush=True); "
        "publish(Path('/dev/stdout'), 'second\\n')"
    )
    if into_a_file:
        with (tmp_path / "out").open("wb") as out:
            subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
        said = (tmp_path / "out").read_text()
    else:
        said = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True
        ).stdout
    assert said == "first\nsecond\n"


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a.xml").mkdir()
    with pytest.raises(OSError, match=r"directory"):
        publish(tmp_path / "a.xml", "text")
    assert [p.name for p in tmp_path.iterdir()] == ["a.xml"]
