"""Many lines at once: the same is read as line by line, whatever the lines are, and parsed fewer times."""

from __future__ import annotations

import gzip
import random
import re
from typing import TYPE_CHECKING

import pytest

from harness.judge.accesslogs import formats, scanning
from harness.judge.accesslogs.formats import parse
from harness.judge.accesslogs.quick import known
from harness.judge.accesslogs.scanning import Scan, scan
from harness.judge.accesslogs.unpacking import BLOCK, Unpacked
from harness.recording.upstreams import Entry
from tests.judge.test_accesslog_formats import LOGS, PODS, RUN

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

IDS = re.compile(RUN[:8].encode() + b"(?:" + RUN[8:].encode() + b")?([0-9a-f]{16})(?![0-9a-f])")
ALB = (
    "https 2026-11-25T14:02:24.186641Z app/web/50dc6c495c0c9188 127.0.0.10:2817 127.0.0.30:8080 0.000 0.001 -1 502 - 34"
    f' 366 "GET https://web.example:443/ HTTP/1.1" "zdtest/0.1" ECDHE TLSv1.2 arn:aws:x "Root=1-67400000-{RUN}'
    '0001000000000001" "-"'
)


def samples() -> list[str]:
    return [line for log in sorted(LOGS.glob("*.log")) for line in log.read_text().splitlines()] + [ALB]


def numbered(line: str, number: int) -> str:
    return re.sub(RUN[:8] + "(" + RUN[8:] + ")?[0-9a-f]{16}", rf"{RUN[:8]}\g<1>{number:016x}", line)


def one_by_one(lines: list[str]) -> dict[bytes, Entry]:
    found = Scan()
    for line in lines:
        seen = IDS.search(line.lower().encode())
        if seen:
            found.add(seen[1], parse(line, PODS, seen.start(), seen.end()))
    return found.found


def at_once(lines: list[str], path: Path) -> Scan:
    path.write_text("\n".join(lines))
    found = Scan()
    wanted = {seen[1] for line in lines if (seen := IDS.search(line.lower().encode()))}
    scan(path, IDS, wanted, PODS, found)
    return found


@pytest.mark.parametrize("log", [log.name for log in sorted(LOGS.glob("*.log"))] + ["alb"])
def test_a_log_of_one_family_is_read_as_line_by_line(log: str, tmp_path: Path) -> None:
    """Over several blocks: only from the second on many lines are read at once."""
    every = [ALB] if log == "alb" else (LOGS / log).read_text().splitlines()
    lines = [numbered(every[number % len(every)], number) for number in range(12_000)]
    found = at_once(lines, tmp_path / "access.log")
    assert (tmp_path / "access.log").stat().st_size > 3 << 19
    assert found.found == one_by_one(lines)
    assert len(found.found) == len(lines)
    assert known(found.like) or log == "apache.log"


def test_a_log_of_all_families_mixed_and_damaged_is_read_as_line_by_line(tmp_path: Path) -> None:
    chance = random.Random(7)
    every = samples()
    lines = []
    for number in range(9_000):
        line = numbered(chance.choice(every), number)
        if chance.random() < 0.3:  # a piece of another line in its place
            at, other = chance.randrange(len(line)), chance.choice(every)
            line = line[:at] + other[at : at + chance.randrange(40)] + line[at + chance.randrange(40) :]
        if chance.random() < 0.1:
            line = line.upper()
        lines.append(line)
    lines = [line for line in lines if len(IDS.findall(line.lower().encode())) == 1]
    found = at_once(lines, tmp_path / "access.log")
    alone = one_by_one(lines)
    differing = {key for key, entry in found.found.items() if alone[key] != entry}
    assert set(found.found) == set(alone)
    # A line with a damaged beginning may be read by the family of the line before it, as it always was.
    assert len(differing) <= len(lines) / 100


def test_of_several_lines_about_a_request_the_one_that_names_the_pod_and_says_why_counts() -> None:
    named, reason = Entry("127.0.0.10", "caddy", ""), Entry("127.0.0.10", "caddy", "dial: connection refused")
    bare = Entry("", "caddy", "")
    for order in ([named, reason, bare], [reason, named, bare], [bare, reason, named]):
        found = Scan()
        for entry in order:
            found.add(b"0" * 16, entry)
        assert found.found == {b"0" * 16: reason}


def test_caddys_two_lines_about_a_failure_give_address_and_reason() -> None:
    access, error = Entry("127.0.0.10", "caddy", ""), Entry("", "caddy", "dial: connection refused")
    for order in ([access, error], [error, access], [access, error, access], [error, access, error]):
        found = Scan()
        for entry in order:
            found.add(b"0" * 16, entry)
        assert found.found == {b"0" * 16: Entry("127.0.0.10", "caddy", "dial: connection refused")}


def test_two_lines_of_other_families_are_two_balancers_and_stay_apart() -> None:
    far, near = Entry("", "envoy", "UF"), Entry("127.0.0.10", "envoy", "")
    for order in ([far, near], [near, far]):
        found = Scan()
        for entry in order:
            found.add(b"0" * 16, entry)
        assert found.found == {b"0" * 16: near}


@pytest.mark.parametrize("padding", [1, BLOCK - 100, BLOCK, 2 * BLOCK + 7])
def test_zeros_after_a_packed_log_are_padding_however_many_there_are(padding: int, tmp_path: Path) -> None:
    """Also where they run into the next block that is read, and where another member follows them."""
    log = tmp_path / "access.log.gz"
    for content, text in (
        (gzip.compress(b"one\n") + bytes(padding), b"one\n"),
        (gzip.compress(b"one\n") + bytes(padding) + gzip.compress(b"two\n"), b"one\ntwo\n"),
    ):
        log.write_bytes(content)
        unpacked = Unpacked(log)
        assert b"".join(unpacked.parts()) == text
        assert not unpacked.cut


@pytest.mark.parametrize("first", ["nginx", "envoy"])
def test_two_balancers_in_one_log_are_read_alike_in_either_order(first: str, tmp_path: Path) -> None:
    """nginx before Envoy: only Envoy's line names the pod, and it may stand before or after that of nginx."""
    nginx = (LOGS / "nginx.log").read_text().splitlines()[1].replace("127.0.0.30", "10.9.9.9")
    envoy = (LOGS / "envoy-json.log").read_text().splitlines()[1]
    pair = [nginx, envoy] if first == "nginx" else [envoy, nginx]
    lines = [numbered(line, number) for number in range(6_000) for line in pair]
    found = at_once(lines, tmp_path / "access.log")
    assert (tmp_path / "access.log").stat().st_size > 3 << 20, "several blocks"
    assert set(found.found.values()) == {Entry("127.0.0.30", "envoy", "UF")}
    assert found.families == {"nginx", "envoy"}


def test_lines_that_differ_in_their_times_alone_are_parsed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = (LOGS / "nginx.log").read_text().splitlines()[1]
    lines = [numbered(line, number).replace("0.000", f"{number / 1000:.3f}") for number in range(60_000)]
    (tmp_path / "access.log").write_text("\n".join(lines))
    wanted = {b"%016x" % number for number in range(len(lines))}
    parsed: list[str] = []

    def parse_and_count(line: str, *rest: Any) -> Any:
        parsed.append(line)
        return formats.parse(line, *rest)

    monkeypatch.setattr(scanning, "parse", parse_and_count)
    found = Scan()
    scan(tmp_path / "access.log", IDS, wanted, PODS, found)
    assert found.found == one_by_one(lines)
    assert len(parsed) < len(lines) / 5  # the first block finds out what they look like
