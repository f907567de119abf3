"""A balancer's access log says which pod a failed request went to, which decides between causes."""

from __future__ import annotations

import dataclasses
import gzip
import itertools
import json
import random
from typing import TYPE_CHECKING

import pytest

from harness import cli
from harness.errors import RecordingError, UsageError
from harness.judge.causes.causes import EXACT
from harness.judge.numbers.accesslog import entries, told_by, upstreams_of
from harness.judge.verdict.judgement import judge
from harness.recording import trace
from harness.recording.read import Recording
from harness.recording.upstreams import AccessLog, Coverage, Entry, keep
from tests.judge.synthetic import SyntheticRun
from tests.program import zdtest

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.judge.synthetic import FakePod

NGINX = (
    '127.0.0.1 - - [25/Nov/2026:14:02:24 +0000] "GET / HTTP/1.1" {status} 150 "-" '
    '"zdtest/0.1" 210 0.001 [shop-web-80] [] {address}:8080 0 0.001 {status} {id}'
)
ALB = (
    "http 2026-11-25T14:02:24.186641Z app/web/50dc6c495c0c9188 192.0.2.7:2817 "
    "{address}:8080 0.000 0.001 0.000 {status} - 34 366 "
    '"GET http://www.example.com:80/ HTTP/1.1" "zdtest/0.1" - - '
    "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/web/73e2 "
    '"{root}" "-" "-" 0 2026-11-25T14:02:24.185000Z "forward" "-" "-" "{address}:8080" "-" "-" "-"'
)
HAPROXY = (
    "Nov 25 14:02:24 lb haproxy[14389]: 10.9.9.9:33317 [25/Nov/2026:14:02:24.655] front "
    "pods/s1 {address}:8080 0/0/-1/-1/0 {status} "
    '212 - - SC-- 1/1/0/0/3 0/0 {{{id}}} "GET / HTTP/1.1"'
)

TRAEFIK = (
    '{{"ClientAddr":"10.9.9.9:33317","DownstreamStatus":{status},"OriginStatus":{status},'
    '"ServiceAddr":"{address}:8080","request_X-Request-Id":"{id}","msg":""}}'
)

SEEDS = itertools.count(11)  # what was simulated once is remembered, and not listened to again


@pytest.fixture
def lost(tmp_path: Path) -> tuple[Path, SyntheticRun, dict[int, FakePod]]:
    """A run whose failures may be due to an old pod or a new one, and each request's real pod by seq."""
    went: dict[int, FakePod] = {}
    synthetic = SyntheticRun.rolling(probe=False, seed=next(SEEDS))
    original = synthetic._answer

    def answer(t: float, turn: int, chance: object) -> object:
        given = original(t, turn, chance)  # type: ignore[arg-type]  # handed on as it came
        if given[3] is not None:
            went[turn] = given[3]
        return given

    synthetic._answer = answer  # type: ignore[method-assign,assignment]  # only listened to
    return synthetic.write(tmp_path), synthetic, went


def lines(form: str, directory: Path, went: dict[int, FakePod]) -> list[str]:
    run = Recording.open(directory).run
    frame = Recording.open(directory).hits()
    failed = frame[frame["status"] != 200]
    return [
        form.format(
            status=502,
            address=went[seq].address,
            id=trace.request_id(run.wall_ns, run.monotonic_ns, worker, seq),
            root=trace.amzn_trace_id(run.wall_ns, run.monotonic_ns, worker, seq),
        )
        for worker, seq in zip(failed["worker"].tolist(), failed["seq"].tolist(), strict=True)
        if seq in went
    ]


@pytest.mark.parametrize("form", [NGINX, ALB, HAPROXY], ids=["nginx", "alb", "haproxy"])
def test_with_the_log_a_set_of_two_causes_becomes_exact(
    lost: tuple[Path, SyntheticRun, dict[int, FakePod]], tmp_path: Path, form: str
) -> None:
    directory, synthetic, went = lost
    before = judge(Recording.open(directory))
    assert before.causes[0].ids == ("A1", "B1")
    assert "--access-log" in before.causes[0].spread_by
    log = tmp_path / "access.log"
    log.write_text("a line of somebody else's\n" + "\n".join(lines(form, directory, went)) + "\n")

    keep(directory, upstreams_of(Recording.open(directory), [log]))
    causes = {cause.ids: cause for cause in judge(Recording.open(directory)).causes}
    assert {cause.confidence for cause in causes.values()} == {EXACT}
    assert causes["A1",].hits == synthetic.truth["A1"]
    stopping = sum(cause.hits for ids, cause in causes.items() if ids != ("A1",))
    assert stopping == synthetic.truth["B1"] + synthetic.truth["cut"]


def test_of_several_addresses_on_a_line_the_last_pods_counts(
    lost: tuple[Path, SyntheticRun, dict[int, FakePod]],
) -> None:
    directory, synthetic, _ = lost
    run = synthetic.run()
    ours = trace.request_id(run.wall_ns, run.monotonic_ns, 0, 7)
    line = f'10.1.0.30:4242 - "GET / HTTP/1.1" 502 10.1.0.28:8080, 10.1.0.29:8080 192.0.2.1:80 {ours.upper()}'
    assert list(entries([line], run, {"10.1.0.28", "10.1.0.29"})) == [((0, 7), "10.1.0.29")]
    assert list(entries([line], run, set())) == [((0, 7), "")]
    assert list(entries([line.replace(ours.upper(), "f" * 32)], run, {"10.1.0.28"})) == []
    assert directory.exists()


def test_a_log_of_another_day_or_without_addresses_is_said_to_be_so(
    lost: tuple[Path, SyntheticRun, dict[int, FakePod]], tmp_path: Path
) -> None:
    directory, _, went = lost
    recording = Recording.open(directory)
    log = tmp_path / "access.log.gz"
    log.write_bytes(gzip.compress(b"nothing of ours\n"))
    with pytest.raises(UsageError, match="holds an id of this run"):
        upstreams_of(recording, [log])
    bare = [f"GET / 502 {line.rsplit(' ', 1)[1]}" for line in lines(NGINX, directory, went)]
    log.write_bytes(gzip.compress("\n".join(bare).encode()))
    with pytest.raises(UsageError, match="names a pod's address"):
        upstreams_of(recording, [log])
    with pytest.raises(UsageError, match="cannot read"):
        upstreams_of(recording, [tmp_path / "nowhere.log"])


def test_a_packed_log_that_is_cut_off_is_read_as_far_as_it_goes_and_that_is_said(
    lost: tuple[Path, SyntheticRun, dict[int, FakePod]], tmp_path: Path
) -> None:
    directory, _, went = lost
    every = lines(NGINX, directory, went)
    chance = random.Random(1)
    noise = ["".join(chance.choices("abcdefgh", k=300)) for _ in every]
    text = "\n".join(f"{line}\n{other}" for line, other in zip(every, noise, strict=True)).encode()
    packed = gzip.compress(text[: len(text) // 2]) + gzip.compress(
        text[len(text) // 2 :]
    )  # as logrotate appends
    whole, cut = tmp_path / "whole.log.gz", tmp_path / "cut.log.gz"
    whole.write_bytes(packed + bytes(512))
    cut.write_bytes(packed[: 3 * len(packed) // 4])
    recording = Recording.open(directory)
    log, part = told_by(recording, [whole]), told_by(recording, [cut])
    assert log.coverage is not None
    assert part.coverage is not None
    assert (log.coverage.cut, part.coverage.cut) == (0, 1)
    assert len(log.entries) == len(every)
    assert len(every) // 2 < len(part.entries) < len(every)
    assert part.entries.items() <= log.entries.items()
    keep(directory, part.entries, part.coverage)
    assert any("the log is cut off" in note for note in judge(Recording.open(directory)).notes)
    both = told_by(recording, [cut, whole])
    assert both.entries == log.entries


def test_a_log_that_is_cut_off_or_none_at_all_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = SyntheticRun.rolling(1).write(tmp_path)
    whole = gzip.compress(b"nothing of this run\n" * 5000)
    wrecks = {
        "cut.log.gz": (whole[: len(whole) // 2], "cut.log.gz is cut off"),
        "plain.log.gz": (b"not packed at all", "Not a gzipped file"),
        "damaged.log.gz": (whole[:20] + b"\xff" * 20 + whole[40:], "cannot read the access log"),
        "one-line.log.gz": (gzip.compress(bytes(1 << 24)), "is not an access log"),
    }
    for name, (content, said) in wrecks.items():
        (tmp_path / name).write_bytes(content)
        words = ["zdtest", "report", str(directory), "--access-log", str(tmp_path / name)]
        monkeypatch.setattr("sys.argv", words)
        assert cli.main() == 2, name
        printed = capsys.readouterr().err
        assert said in printed
        assert len(printed.splitlines()) == 1


def test_the_report_takes_the_log_and_remembers_it(
    lost: tuple[Path, SyntheticRun, dict[int, FakePod]], tmp_path: Path
) -> None:
    directory, _, went = lost
    log = tmp_path / "access.log"
    log.write_text("\n".join(lines(NGINX, directory, went)))

    def report(*words: str) -> subprocess.CompletedProcess[str]:
        return zdtest("report", str(directory), "--format", "json", *words)

    bad = report("--access-log", str(tmp_path / "nowhere.log"))
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1), bad.stderr
    assert report("--access-log", str(log)).returncode == 1
    again = report()
    assert {cause["confidence"] for cause in json.loads(again.stdout)["causes"]} == {EXACT}


def test_missing_and_stray_log_lines_are_counted_kept_and_reported(
    lost: tuple[Path, SyntheticRun, dict[int, FakePod]], tmp_path: Path
) -> None:
    directory, synthetic, went = lost
    run = synthetic.run()
    every = lines(NGINX, directory, went)
    stray = NGINX.format(
        status=502, address="10.1.0.30", id=trace.request_id(run.wall_ns, run.monotonic_ns, 9, 0)
    )
    (tmp_path / "one.log").write_text("\n".join(["somebody else's", *every[:5], stray]))
    bare = every[5].replace(":8080", "")
    (tmp_path / "two.log.gz").write_bytes(gzip.compress("\n".join([bare, *every[6:-2]]).encode()))

    log = told_by(Recording.open(directory), [tmp_path / "one.log", tmp_path / "two.log.gz"])
    keep(directory, log.entries, log.coverage)
    coverage = Recording.open(directory).access_log().coverage
    hits = Recording.open(directory).hits()
    failed = int((hits["status"] != 200).sum())
    assert coverage == Coverage(
        lines=len(every),
        ours=len(every) - 1,
        strays=1,
        failed=failed,
        named=len(every) - 3,
        unlogged=2 + failed - len(every),
    )
    assert coverage.sentence() in judge(Recording.open(directory)).notes
    assert "2 are on none of its lines" in coverage.sentence()
    assert "1 is on a line that names no pod" in coverage.sentence()
    assert "1 on its lines is not in the recording" in coverage.sentence()
    assert Recording.open(directory).access_log().entries == log.entries
    assert set(Recording.open(directory).upstreams().values()) == {
        e.address for e in log.entries.values() if e.address
    }


def test_a_log_adds_nothing_to_a_run_without_failures() -> None:
    nothing = Coverage(lines=3, ours=3, strays=0, failed=0, named=0, unlogged=0)
    assert AccessLog({}, nothing).notes == ()
    assert AccessLog({}, dataclasses.replace(nothing, strays=2)).notes != ()
    assert AccessLog({}).notes == ()


def test_a_haproxy_log_without_addresses_gives_reasons_and_a_note_says_the_log_format_that_names_pods(
    lost: tuple[Path, SyntheticRun, dict[int, FakePod]], tmp_path: Path
) -> None:
    directory, _, went = lost
    log = tmp_path / "haproxy.log"
    log.write_text("\n".join(lines(HAPROXY.replace(" {address}:8080", ""), directory, went)))
    found = told_by(Recording.open(directory), [log])
    assert {entry.address for entry in found.entries.values()} == {""}
    keep(directory, found.entries, found.coverage)
    (said,) = (note for note in judge(Recording.open(directory)).notes if "log-format" in note)
    assert "%si:%sp" in said
    assert "\n" not in said


def test_a_traefik_log_without_addresses_is_told_which_field_to_keep(
    lost: tuple[Path, SyntheticRun, dict[int, FakePod]], tmp_path: Path
) -> None:
    directory, _, went = lost
    log = tmp_path / "traefik.log"
    for form, expected in ((TRAEFIK.replace('"ServiceAddr":"{address}:8080",', ""), 1), (TRAEFIK, 0)):
        log.write_text("\n".join(lines(form, directory, went)))
        found = told_by(Recording.open(directory), [log])
        keep(directory, found.entries, found.coverage)
        notes = judge(Recording.open(directory)).notes
        assert sum("Traefik: keep the field ServiceAddr" in note for note in notes) == expected


def test_a_traefik_log_whose_requests_had_no_server_to_go_to_lacks_no_field(
    lost: tuple[Path, SyntheticRun, dict[int, FakePod]],
) -> None:
    directory, _, _ = lost
    keep(directory, {(0, 1): Entry("", "traefik", "503 503")}, None)
    assert not any("ServiceAddr" in note for note in judge(Recording.open(directory)).notes)


def test_entries_kept_without_reasons_are_still_read(tmp_path: Path) -> None:
    directory = SyntheticRun.rolling(seed=next(SEEDS)).write(tmp_path)
    (directory / "upstreams.jsonl").write_text('[0, 7, "10.1.0.28"]\n[1, 2, "", "envoy", "UH"]\n')
    kept = Recording.open(directory).access_log()
    assert kept.entries == {(0, 7): Entry("10.1.0.28"), (1, 2): Entry("", "envoy", "UH")}
    assert kept.coverage is None
    assert Recording.open(directory).upstreams() == {(0, 7): "10.1.0.28"}


@pytest.mark.parametrize(
    "bad",
    [
        "[0, 7]",
        '{"lines": 1}',
        '{"lines": 1}\n[0, 7, "a"]',
        '[0, "x", "a"]',
        '[0, 7, "a", "b", "c", "d"]',
        "7",
    ],
)
def test_a_file_of_a_stranger_that_holds_something_else_is_one_line(tmp_path: Path, bad: str) -> None:
    directory = SyntheticRun.rolling(seed=next(SEEDS)).write(tmp_path)
    (directory / "upstreams.jsonl").write_text(bad + "\n")
    with pytest.raises(RecordingError, match=r"upstreams\.jsonl does not hold"):
        Recording.open(directory).access_log()
