"""A run is stored on a real server of S3's protocol, and brought back."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import RecordingError, UsageError
from harness.judge.verdict.judgement import judge, to_json
from harness.recording.read import Recording
from harness.storage import door
from harness.storage.address import parse
from harness.storage.contents import INDEX, identity_of
from harness.storage.door import StorageError, Store
from harness.storage.fetch import fetch, runs_at
from harness.storage.upload import check, upload
from tests.judge.synthetic import SyntheticRun
from tests.program import zdtest

if TYPE_CHECKING:
    from tests.storage.bucket import Bucket

NAME = "20261130T030000Z-web"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that lost requests, with reports beside it."""
    path = SyntheticRun.rolling().write(tmp_path_factory.mktemp("made") / NAME)
    (path / "verdict.json").write_text(to_json(judge(Recording.open(path))))
    (path / "report.html").write_text("<script>")
    (path / "timeline.svg").write_text("<svg/>")
    return path


@pytest.fixture
def run(recorded: Path, tmp_path: Path) -> Path:
    return shutil.copytree(recorded, tmp_path / "made" / NAME)


def stored(run: Path, bucket: Bucket) -> str:
    store = Store(parse(bucket.url), patience_s=5)
    return upload(run, store).where


def fetched(bucket: Bucket, root: Path, name: str = NAME) -> Path:
    store = Store(parse(bucket.url), patience_s=5)
    path = fetch(store, name, root).path
    assert path
    return path


def another(run: Path) -> Path:
    """Make it a run of another host, whatever else is alike."""
    record = json.loads((run / "run.json").read_text())
    record["host"]["name"] = "elsewhere"
    (run / "run.json").write_text(json.dumps(record))
    return run


def reindex(bucket: Bucket, **changed: object) -> None:
    index = json.loads((bucket.folder / "shop" / NAME / INDEX).read_text())
    put(bucket, f"{NAME}/{INDEX}", json.dumps(index | changed).encode())


def put(bucket: Bucket, name: str, content: bytes) -> None:
    store = Store(parse(bucket.url))
    store.write(name, content)


def test_a_run_that_comes_back_gives_the_same_verdict(run: Path, bucket: Bucket, tmp_path: Path) -> None:
    assert stored(run, bucket) == f"{bucket.url}/{NAME}"
    here = fetched(bucket, tmp_path / "here")
    assert here.name == NAME
    assert to_json(judge(Recording.open(here))) == to_json(judge(Recording.open(run)))
    assert (here / "verdict.json").read_bytes() == (run / "verdict.json").read_bytes()
    assert here.stat().st_mode & 0o077 == 0


def test_pages_stay_there_for_their_scripts_would_be_the_store_s(
    run: Path, bucket: Bucket, tmp_path: Path
) -> None:
    assert (run / "report.html").exists()
    stored(run, bucket)
    assert f"{NAME}/report.html" in bucket.objects()
    here = fetched(bucket, tmp_path / "here")
    assert not list(here.glob("*.html"))
    assert not list(here.glob("*.svg"))


def test_two_runs_of_one_name_lie_beside_each_other(run: Path, bucket: Bucket, tmp_path: Path) -> None:
    assert stored(run, bucket) == f"{bucket.url}/{NAME}"
    assert stored(another(run), bucket) == f"{bucket.url}/{NAME}-2"
    first, second = (fetched(bucket, tmp_path / "here", name) for name in (NAME, f"{NAME}-2"))
    assert (first.name, second.name) == (NAME, f"{NAME}-2")
    assert identity_of(first) != identity_of(second)


def test_what_is_stored_already_is_not_sent_again(run: Path, bucket: Bucket) -> None:
    store = Store(parse(bucket.url))
    first = upload(run, store)
    (run / "summary.txt").write_text("judged again")
    second = upload(run, store)
    third = upload(run, store)
    assert first.sent == first.files
    assert (second.where, second.sent) == (first.where, 1)
    assert third.sent == 0
    assert (bucket.folder / "shop" / NAME / "summary.txt").read_text() == "judged again"


def test_half_a_run_is_not_fetched_for_its_verdict_would_be_another(
    run: Path, bucket: Bucket, tmp_path: Path
) -> None:
    stored(run, bucket)
    reindex(bucket, whole=False, files=[])
    with pytest.raises(StorageError, match="its upload has not finished"):
        fetched(bucket, tmp_path / "here")
    assert not (tmp_path / "here").exists()
    stored(run, bucket)  # goes on, under the same name
    assert fetched(bucket, tmp_path / "here").name == NAME


def test_a_fetch_that_was_cut_off_goes_on_where_it_ended(run: Path, bucket: Bucket, tmp_path: Path) -> None:
    stored(run, bucket)
    hits = bucket.folder / "shop" / NAME / "hits" / "0.arrow"
    content = hits.read_bytes()
    hits.unlink()
    with pytest.raises(StorageError, match=r"hits/0\.arrow: there is no such object"):
        fetched(bucket, tmp_path / "here")
    assert [path.name for path in (tmp_path / "here").iterdir()] == [f".fetch-{NAME}"]
    hits.write_bytes(content)
    (bucket.folder / "shop" / NAME / "events.jsonl").unlink()  # it is here already
    assert Recording.open(fetched(bucket, tmp_path / "here")).workers() == (0,)
    assert [path.name for path in (tmp_path / "here").iterdir()] == [NAME]


def test_a_run_that_is_here_is_left_alone_and_another_one_is_not_overwritten(
    run: Path, bucket: Bucket, tmp_path: Path
) -> None:
    stored(run, bucket)
    (run / "summary.txt").write_text("mine")
    assert fetched(bucket, run.parent) == run
    assert (run / "summary.txt").read_text() == "mine"
    other = another(shutil.copytree(run, tmp_path / "here" / NAME))
    before = (other / "run.json").read_bytes()
    assert fetched(bucket, tmp_path / "here").name == f"{NAME}-2"
    assert (other / "run.json").read_bytes() == before


def test_a_link_in_the_way_is_not_followed(run: Path, bucket: Bucket, tmp_path: Path) -> None:
    stored(run, bucket)
    (tmp_path / "here").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "here" / NAME).symlink_to(tmp_path / "outside")
    assert fetched(bucket, tmp_path / "here").name == f"{NAME}-2"
    assert not list((tmp_path / "outside").iterdir())


def test_what_a_stranger_put_there_does_not_get_in(run: Path, bucket: Bucket, tmp_path: Path) -> None:
    stored(run, bucket)
    there = bucket.folder / "shop" / NAME
    whole = json.loads((there / INDEX).read_text())
    reindex(bucket, files=[*whole["files"], {"name": "../../evil", "bytes": 1, "sha256": "00" * 32}])
    with pytest.raises(RecordingError, match="was not written by zdtest, or is damaged"):
        fetched(bucket, tmp_path / "here")
    reindex(bucket, **whole)
    events = (there / "events.jsonl").read_bytes()
    put(bucket, f"{NAME}/events.jsonl", events[:-9])
    with pytest.raises(StorageError, match=r"events\.jsonl: it is not what upload\.json says"):
        fetched(bucket, tmp_path / "here")
    put(bucket, f"{NAME}/events.jsonl", events * 2)
    with pytest.raises(StorageError, match=r"events\.jsonl is larger than its index says"):
        fetched(bucket, tmp_path / "here")
    put(bucket, f"{NAME}/events.jsonl", events)
    reindex(bucket, run="00" * 32)
    with pytest.raises(RecordingError, match=r"run\.json is of another run"):
        fetched(bucket, tmp_path / "here")
    reindex(bucket, run=whole["run"], files=[one for one in whole["files"] if one["name"] != "run.json"])
    with pytest.raises(RecordingError, match="is not a run folder"):
        fetched(bucket, tmp_path / "here")
    assert [path.name for path in (tmp_path / "here").iterdir()] == []


def test_all_runs_of_a_prefix_are_named_and_nothing_else(run: Path, bucket: Bucket) -> None:
    store = Store(parse(bucket.url))
    check(store)
    with pytest.raises(UsageError, match="there is no run"):
        runs_at(parse(bucket.url))
    stored(run, bucket)
    put(bucket, "notes/x", b"x")
    for address in (bucket.url, f"{bucket.url}/{NAME}"):
        assert runs_at(parse(address)) == (parse(bucket.url), [NAME])


def test_the_commands_bring_runs_here_for_all_that_reads_runs(
    run: Path, bucket: Bucket, tmp_path: Path
) -> None:
    up = zdtest("upload", str(run), bucket.url)
    assert (up.returncode, up.stderr) == (0, "")
    assert f"stored {bucket.url}/{NAME}" in up.stdout
    broken = "20261130T040000Z-web"
    put(bucket, f"{broken}/{INDEX}", b"{}")
    down = zdtest("fetch", bucket.url, cwd=tmp_path)
    assert down.returncode == 2
    assert f"fetched results/{NAME}" in down.stdout
    assert "1 new, 0 here already, 1 could not be fetched" in down.stdout
    assert f"{broken}/upload.json was not written by zdtest" in down.stderr
    again = zdtest("fetch", f"{bucket.url}/{NAME}", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, "0 new, 1 here already\n")
    assert NAME[9:13] in zdtest("list", cwd=tmp_path).stdout.replace(":", "")
    report = zdtest("report", "last", cwd=tmp_path)
    assert report.returncode == 1
    assert (tmp_path / "results" / NAME / "report.html").exists()


def test_a_missing_bucket_wrong_keys_and_a_server_that_is_away_are_one_line_each(
    run: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(parse("s3://nowhere/x"), patience_s=1)
    with pytest.raises(StorageError) as refused:
        check(store)
    assert "no such bucket" in str(refused.value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "c4n4ry-wrong")
    store = Store(parse(bucket.url), patience_s=1)
    with pytest.raises(StorageError) as refused:
        check(store)
    assert str(refused.value) == f"{bucket.url}/.zdtest: access is refused"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    pauses: list[float] = []
    store = Store(parse(bucket.url), patience_s=0.2)
    with pytest.raises(StorageError) as refused:
        upload(run, store, pauses.append)
    assert "the server cannot be reached" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "c4n4ry" not in str(refused.value)


def test_the_door_makes_no_asynchronous_call_for_such_may_abort_the_program_at_its_end() -> None:
    source = Path(door.__file__).read_text()
    assert "obstore" in source
    assert not re.search(r"_async|import asyncio", source)
