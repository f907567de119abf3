from __future__ import annotations

import base64
import hashlib
import json
import re
import time
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.judge.verdict.judgement import judge_with_picture
from harness.recording.answers import Answer
from harness.recording.read import Recording
from harness.report.page import page
from harness.report.page.encoding import Packer
from harness.report.page.markup import joined, sleeping_json, tag
from harness.report.patch import render as patch_of
from tests.bench.judge_bench import write as write_many
from tests.judge.synthetic import SyntheticRun
from tests.judge.test_rollouts import clean, lossy, series
from tests.judge.test_shared_names import stateful

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HOSTILE = "</script><img src=x onerror=alert(1)><!--\u2028&quot;'\""


class Elements(HTMLParser):
    """All elements of a page with their attributes, and the text outside of scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._inside = ""

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((name, dict(attributes)))
        self._inside = name
        if name in {"script", "style"}:
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._inside in {"script", "style"}:
            self.scripts[-1] += data
        else:
            self.text += data

    def handle_endtag(self, name: str) -> None:  # noqa: ARG002
        self._inside = ""


def made(path: Path) -> str:
    return page.render(*judge_with_picture(Recording.open(path)))


def parsed(text: str) -> Elements:
    elements = Elements()
    elements.feed(text)
    return elements


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def columns(data: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Unpack as data.js does."""
    raw = zlib.decompress(base64.b64decode(data["columns"]))
    found, at = {}, 0
    for column in data["layout"]:
        kind = {"u8": "<u1", "u16": "<u2", "u32": "<u4", "f32": "<f4", "f64": "<f8"}[column["type"]]
        size, count = np.dtype(kind).itemsize, column["count"]
        planes = np.frombuffer(raw, np.uint8, size * count, at).reshape(size, count)
        at += size * count
        values = np.ascontiguousarray(planes.T).view(kind).reshape(-1).astype(np.float64)
        found[column["name"]] = (np.cumsum(values) if column["rising"] else values) + column["base"]
    assert at == len(raw)
    return found


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0],
        [-2, -1, 255],
        [-1, 65_000, 3],
        [5, 70_000, 4_000_000_000],
        [1 << 40, (1 << 40) + 3],
        [0, 1 << 50],
    ],
)
@pytest.mark.parametrize("rising", [False, True])
def test_what_is_packed_can_be_unpacked(values: list[int], rising: bool) -> None:  # noqa: FBT001
    if rising:
        values = sorted(values)
    packer = Packer()
    packer.whole("a", np.array(values, dtype=np.int64), rising=rising)
    packer.real("b", np.array([np.nan, 1.5, -2.25]))
    found = columns({"layout": packer.layout, "columns": packer.text()})
    assert found["a"].tolist() == values
    assert np.isnan(found["b"][0])
    assert found["b"][1:].tolist() == [1.5, -2.25]


def test_text_in_an_element_is_escaped_and_elements_are_not() -> None:
    assert tag("p", HOSTILE, class_="a").count("<") == 2
    assert tag("p", tag("b", "x"), " & ", None, title='"<') == '<p title="&quot;&lt;"><b>x</b> &amp; </p>'
    assert joined(["<", tag("br")]) == "&lt;<br>"


def test_json_in_a_page_cannot_end_its_script() -> None:
    text = sleeping_json({"a": HOSTILE, "b": "<!--<script>\u2029"})
    assert not set(text) & {"<", ">", "&", "\u2028", "\u2029"}
    assert json.loads(text) == {"a": HOSTILE, "b": "<!--<script>\u2029"}


def test_the_page_says_verdict_losses_cause_and_fix_without_its_script(tmp_path: Path) -> None:
    path = lossy().write(tmp_path)
    found, picture = judge_with_picture(Recording.open(path))
    said = parsed(page.render(found, picture)).text
    assert "FAIL" in said
    assert found.verdict.headline in said
    assert f"{found.verdict.lost:,}" in said
    assert found.causes[0].evidence[0] in said
    assert "spec.template.spec.containers[web].lifecycle.preStop" in said
    assert patch_of(found) in said
    for finding in found.verdict.findings:
        assert finding.objective in said
        assert finding.observed in said


def test_a_fix_that_is_said_is_not_said_again_as_one_until_then(tmp_path: Path) -> None:
    judgement, picture = judge_with_picture(Recording.open(lossy().write(tmp_path)))
    first = judgement.causes[0]
    fix = first.mend[0].partition("; ")[0]
    second = replace(first, mend=(f"graceful shutdown in the app; until then {fix}",))
    text = page.render(replace(judgement, causes=(first, second)), picture)
    change = parsed(text).text.partition("What to change")[2].partition("What happened")[0]
    assert "graceful shutdown in the app" in change
    assert change.count("preStop") == 1


def test_a_run_that_lost_nothing_is_given_no_cause(tmp_path: Path) -> None:
    path = SyntheticRun.rolling(prestop=4, grace=20, record={"scenario": {"fail_on": ["p99>1ms"]}}).write(
        tmp_path
    )
    judgement, picture = judge_with_picture(Recording.open(path))
    assert (judgement.grade, judgement.verdict.lost) == ("FAIL", 0)
    assert "no cause was found" not in parsed(page.render(judgement, picture)).text


def test_a_pass_says_what_it_proves_and_a_doubt_says_what_to_do(tmp_path: Path) -> None:
    said = parsed(made(clean().write(tmp_path / "a"))).text
    assert "What this proves" in said
    assert "none of" in said
    doubtful = clean()
    doubtful.lag_p99 = 0.2
    said = parsed(made(doubtful.write(tmp_path / "b"))).text
    assert "Why this is no PASS" in said
    assert "to do: " in said


def test_nothing_in_the_page_refers_to_anything_outside_of_it(tmp_path: Path) -> None:
    text = made(lossy().write(tmp_path))
    for name, attributes in parsed(text).found:
        for key in ("src", "href", "action", "data", "poster", "srcset"):
            assert (attributes.get(key) or "#").startswith(("#", "data:,")), (name, attributes)
        assert not [key for key in attributes if key.startswith("on") or key == "style"], (name, attributes)
        assert name not in {"iframe", "object", "embed", "img", "base"}
    assert "url(" not in text
    assert "@import" not in text


def test_the_policy_forbids_all_but_the_pages_own_script_and_styles(tmp_path: Path) -> None:
    text = made(lossy().write(tmp_path))
    assert "Copyright (c) 2022 Leon Sorokin" in text  # the library's licence goes with it
    elements = parsed(text)
    policy = next(
        str(a["content"]) for n, a in elements.found if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    styles, data, script = elements.scripts
    for text in (styles, script):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert data.startswith("{")
    kinds = [attributes.get("type") for name, attributes in elements.found if name == "script"]
    assert kinds == ["application/json", None]


def test_the_vendored_library_is_the_version_that_is_noted() -> None:
    vendor = files("harness.report.page").joinpath("vendor")
    version = vendor.joinpath("VERSION").read_text("utf-8").split("\n")[0].split()[-1]
    assert f"(v{version})" in vendor.joinpath("uPlot.iife.min.js").read_text("utf-8")[:100]
    assert "MIT License" in vendor.joinpath("LICENSE").read_text("utf-8")


def test_hostile_names_and_answers_stay_text(tmp_path: Path) -> None:
    run = SyntheticRun.rolling(said={"502": Answer(502, (("server", HOSTILE),), HOSTILE)})
    for pod in run.pods:
        pod.name = f"{pod.name}{HOSTILE}"
    run.record = {"notes": (HOSTILE,), "command": ("zdtest", HOSTILE)}
    plain = {name for name, _ in parsed(made(lossy().write(tmp_path / "plain"))).found}
    text = made(run.write(tmp_path / "hostile"))
    assert {name for name, _ in parsed(text).found} == plain
    assert text.count("</script>") == 2
    assert not [a for _, attributes in parsed(text).found for a in attributes if a.startswith("on")]
    assert any("onerror" in pod["name"] for pod in data_of(text)["pods"])


def test_each_failed_hit_is_in_the_pages_columns(tmp_path: Path) -> None:
    path = lossy().write(tmp_path)
    found, picture = judge_with_picture(Recording.open(path))
    data = data_of(page.render(found, picture))
    unpacked = columns(data)
    failed = picture.failures
    assert len(unpacked["t"]) == failed.total
    seconds = data["whole"][0] + unpacked["t"] * data["failures"]["unit"]
    true = (failed.done_ns - picture.timeline.zero_ns) / 1e9
    assert np.abs(seconds - true).max() < 2e-5
    for name in ("kind", "cause", "pod", "near", "worker", "seq", "conn", "carried", "answer", "logged"):
        assert (unpacked[name] == getattr(failed, name)).all(), name
    assert sum(int(unpacked[f"good{n}"].sum()) for n in range(len(data["bucket"]["good"]))) == sum(
        int(column.sum()) for column in picture.buckets.good.values()
    )


def test_several_rollouts_stand_side_by_side_in_one_page(tmp_path: Path) -> None:
    text = made(series(tmp_path, lossy(), clean()))
    assert [one["lost"] > 0 for one in data_of(text)["rollouts"]] == [True, False]
    rows = [a for name, a in parsed(text).found if name == "button" and "data-rollout" in a]
    assert [row["data-rollout"] for row in rows] == ["0", "1"]
    assert "Rollouts side by side" in text


def test_all_that_is_sent_to_the_page_is_read_by_its_script(tmp_path: Path) -> None:
    script = "".join(page._asset(f"script/{name}.js") for name in page.SCRIPTS)
    data = data_of(made(series(tmp_path, lossy(), clean())))
    of_records = (data, data["bucket"], data["failures"], data["rollouts"][0], data["pods"][0], data["bursts"][0],
                  data["phases"][0], data["moments"][0])  # fmt: skip
    names = {name for record in of_records for name in record}
    names |= {re.sub(r"^(good|failed)\d+$", r"\1", column["name"]) for column in data["layout"]}
    read = {name for name in names if re.search(rf"\b{name}\b", script)}
    assert names - read == set()


def test_a_button_of_a_pod_selects_the_one_of_several_that_shared_its_name(tmp_path: Path) -> None:
    path = series(tmp_path, stateful(prestop=4), stateful(rollout=2), named=True)
    found, picture = judge_with_picture(Recording.open(path))
    text = page.render(found, picture)
    buttons = [a for name, a in parsed(text).found if name == "button" and "data-pod" in a]
    lost = {n for n, pod in enumerate(picture.timeline.pods) if pod.uid.endswith("old-2")}
    assert len(lost) == 3
    assert {int(button["data-pod"] or -1) for button in buttons} == lost


def test_a_run_without_pods_rollout_or_hits_has_a_page(tmp_path: Path) -> None:
    bare = SyntheticRun(record={"rollout": None, "cluster": None, "path": None})
    assert 'id="picture"' in made(bare.write(tmp_path / "a"))
    path = clean().write(tmp_path / "b")
    (path / "hits" / "0.arrow").unlink()
    assert data_of(made(path))["failures"]["total"] == 0


def test_three_minutes_at_4300_requests_a_second_fit_into_3_megabytes(tmp_path: Path) -> None:
    path = write_many(tmp_path, 800_000)
    found, picture = judge_with_picture(Recording.open(path))
    assert picture.failures.total > 10
    assert len(page.render(found, picture).encode()) < 1_000_000
    # And with as many failures as the page draws, no two of them alike.
    chance = np.random.default_rng(1)
    many = 100_000
    failed = picture.failures

    def drawn(low: int, high: int) -> NDArray[np.int64]:
        return chance.integers(low, high, many)

    full = replace(
        failed,
        total=many,
        done_ns=np.sort(drawn(picture.whole.from_ns, picture.whole.to_ns)),
        began_ns=np.zeros(many, dtype=np.int64),
        kind=drawn(0, len(failed.kinds)),
        cause=drawn(0, len(failed.causes)),
        pod=drawn(-1, len(failed.pods)),
        near=np.full(many, -1),
        worker=drawn(0, 2),
        seq=drawn(0, 400_000),
        conn=drawn(0, 5000),
        carried=drawn(0, 5000),
        target=np.zeros(many, dtype=np.int64),
        peer=np.zeros(many, dtype=np.int64),
        answer=np.full(many, -1),
        logged=np.full(many, -1),
    )
    full = replace(full, began_ns=full.done_ns - drawn(300_000, 3_000_000_000))
    begin = time.process_time()
    text = page.render(found, replace(picture, failures=full))
    assert len(text.encode()) < 3_000_000
    assert time.process_time() - begin < 10  # processor time: the page alone, of a second or so
