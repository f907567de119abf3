"""timeline.png, -dark.png and .svg of runs of all shapes. What they say is read from the SVG, whose text is text."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from harness.judge.verdict.judgement import judge_with_picture
from harness.model import MarkAt, OtherChange, WatchGap
from harness.recording.read import Recording
from harness.report.drawing.draw import draw
from harness.report.drawing.theme import DARK, LIGHT, Theme
from harness.report.looks import FAILURES, STATES
from tests.judge.synthetic import TRIGGER, S, SyntheticRun
from tests.judge.test_rollouts import series

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.picture.picture import Picture
    from harness.judge.verdict.judgement import Judgement

SVG = "{http://www.w3.org/2000/svg}"


def run_of(tmp_path: Path, replicas: int = 3, **how: Any) -> tuple[Judgement, Picture]:
    return judge_with_picture(Recording.open(SyntheticRun.rolling(replicas, **how).write(tmp_path)))


def svg_of(judgement: Judgement, picture: Picture) -> str:
    file = io.BytesIO()
    draw(judgement, picture, file, form="svg")
    return file.getvalue().decode()


def words_of(judgement: Judgement, picture: Picture) -> list[str]:
    """Return all texts of a picture."""
    root = ET.fromstring(svg_of(judgement, picture))  # noqa: S314  made by ourselves
    return ["".join(one.itertext()) for one in root.iter(f"{SVG}text")]


def pixels(judgement: Judgement, picture: Picture, theme: Theme) -> Image.Image:
    file = io.BytesIO()
    draw(judgement, picture, file, theme=theme)
    return Image.open(file).convert("RGB")


def test_a_failed_rollout_says_how_many_failed_why_and_when(tmp_path: Path) -> None:
    found, picture = run_of(tmp_path, probe=False)
    words = words_of(found, picture)
    assert f"FAIL: {found.verdict.headline}" in words
    (cause,) = found.causes
    assert any(line.startswith(f"1   {cause.hits:,} failed: No readinessProbe") for line in words)
    for name in (
        "trigger",
        "`rollout status` done",
        "rollout over",
        "latency",
        "p50",
        "the whole run",
        "the rollout",
    ):
        assert name in words, name
    assert {pod.name for pod in found.timeline.pods} <= set(words)
    assert "seconds from the trigger" in words


def test_few_failures_are_a_mark_each(tmp_path: Path) -> None:
    found, picture = run_of(tmp_path, probe=False, concurrency=3)
    assert found.numbers.failed < 300
    assert f"502 \u00d7 {found.numbers.failed:,}" in words_of(found, picture)
    markers = re.findall(r'<use [^>]*style="fill: #d55e00[^"]*stroke: #ffffff', svg_of(found, picture))
    assert len(markers) == found.numbers.failed


def test_many_failures_are_bars_by_kind_and_the_key_says_how_many(tmp_path: Path) -> None:
    found, picture = run_of(tmp_path, recreate=True, startup=8, concurrency=40, dead_is_silent=False)
    assert found.numbers.failed > 300
    words = words_of(found, picture)
    labels = {look.label for look in FAILURES.values()}
    keys = [word.rpartition(": ") for word in words if word.rpartition(": ")[0] in labels]
    assert sum(int(number.replace(",", "")) for _, _, number in keys) == found.numbers.failed
    assert not any("\u00d7" in word for word in words)


def test_a_run_without_failures_says_so(tmp_path: Path) -> None:
    found, picture = run_of(tmp_path, prestop=4, grace=20)
    assert found.numbers.failed == 0
    words = words_of(found, picture)
    assert f"PASS: {found.verdict.headline}" in words
    assert "no failed request" in words


def test_sixty_pods_are_folded_and_the_picture_says_so(tmp_path: Path) -> None:
    found, picture = run_of(tmp_path, 30, probe=False, startup=0.3)
    words = words_of(found, picture)
    assert (
        "60 pods, too many for a lane each: all of them by state, old and new; a lane for the 8 at which most"
        in (" ".join(words))
    )
    assert {"old pods", "new pods"} <= set(words)
    lanes = {pod.name for pod in found.timeline.pods} & set(words)
    assert len(lanes) == 8


def test_a_long_run_shows_its_rollout_large(tmp_path: Path) -> None:
    found, picture = run_of(tmp_path, probe=False, settle=1200, concurrency=1)
    assert picture.buckets.width_ns > picture.close.width_ns
    words = words_of(found, picture)
    assert "20:00" in words, "the overview counts minutes"
    assert "seconds from the trigger" in words, "the panels count seconds"
    assert "up to max, each of 100 ms" in words


def test_of_several_rollouts_the_one_that_lost_most_is_drawn_large(tmp_path: Path) -> None:
    few = SyntheticRun.rolling(prestop=4, grace=20, noise=0.3)  # more failures, which are background
    most = SyntheticRun.rolling(probe=False)
    found, picture = judge_with_picture(Recording.open(series(tmp_path, few, most, few)))
    assert picture.rollouts[0].failures.total > picture.rollouts[1].failures.total
    words = words_of(found, picture)
    assert "large: rollout 2" in words
    assert any(word.endswith(", 3 rollouts") for word in words)
    assert "seconds from this rollout's trigger" in words
    assert {pod.name for pod in found.rollouts[1].timeline.pods if pod.old and pod.deleted_ns} <= set(words)
    alone = words_of(found.rollouts[1], picture.rollouts[1])
    assert "seconds from the trigger" in alone
    assert f"FAIL: {found.rollouts[1].verdict.headline}" in alone


def test_what_others_changed_and_what_nobody_saw_is_marked(tmp_path: Path) -> None:
    at_ns = round((TRIGGER + 3) * S)
    found, picture = run_of(
        tmp_path,
        record={"changes": (OtherChange(at_ns, "pod_deleted", "deleted the pod web-1", "kubectl"),)},
        gaps=[WatchGap("Pod", at_ns, at_ns + 3 * S, "HTTP 410", relisted=True)],
    )
    words = words_of(found, picture)
    assert "kubectl: pod deleted" in words
    assert "nobody watched the cluster" in words


def test_a_second_in_which_the_generator_was_late_is_marked(tmp_path: Path) -> None:
    found, calm = run_of(tmp_path / "calm")
    assert not any("generator" in word for word in words_of(found, calm))
    found, late = run_of(tmp_path / "late", lag_p99=0.2)
    assert "the load generator itself was late" in words_of(found, late)


def test_a_plain_load_test_is_drawn_whole(tmp_path: Path) -> None:
    run = SyntheticRun.rolling(3).run()
    found, picture = run_of(
        tmp_path,
        record={
            "rollout_wanted": False,
            "rollout": None,
            "cluster": None,
            "marks": tuple(m for m in run.marks if m.mark in {"load_start", "warmup_end", "load_end"}),
        },
    )
    words = words_of(found, picture)
    assert "seconds from the end of the warm-up" in words
    assert "the whole run" not in words
    assert "trigger" not in words


@pytest.mark.parametrize("marks", [0, 1, 2])
def test_what_is_left_of_a_run_that_was_cut_off_is_drawn(tmp_path: Path, marks: int) -> None:
    kept: tuple[MarkAt, ...] = SyntheticRun.rolling(3).run().marks[:marks]
    found, picture = run_of(tmp_path, record={"marks": kept, "state": "running", "ended_by": ""})
    assert words_of(found, picture)


def test_the_dark_picture_is_dark_and_the_light_one_light(tmp_path: Path) -> None:
    found, picture = run_of(tmp_path, probe=False)
    for theme in (LIGHT, DARK):
        shown = pixels(found, picture, theme)
        paper = tuple(int(theme.paper[n : n + 2], 16) for n in (1, 3, 5))
        assert shown.getpixel((0, 0)) == paper
        ink = tuple(int(theme.states["in_endpoints"][n : n + 2], 16) for n in (1, 3, 5))
        assert ink in {colour for _, colour in shown.getcolors(1 << 24) or ()}
    assert shown.width == 1500


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_words_and_marks_stand_out_from_their_paper(theme: Theme) -> None:
    """Contrast as WCAG 2.2 has it: 4.5 for text, 3 for what is drawn."""
    for colour in (theme.ink, theme.faint, *theme.grades.values()):
        assert contrast(colour, theme.paper) >= 4.5, colour
    for name in FAILURES:
        assert contrast(theme.failures[name], theme.paper) >= (
            1.8 if name in {"503", "UNAVAILABLE"} else 2.2
        ), name
    assert set(theme.failures) == set(FAILURES)
    assert set(theme.states) == set(STATES)


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_a_picture_is_small_enough_for_a_chat(tmp_path: Path) -> None:
    found, picture = run_of(tmp_path, 30, probe=False, startup=0.3)
    draw(found, picture, tmp_path / "timeline.png")
    draw(found, picture, tmp_path / "timeline.svg", form="svg")
    assert (tmp_path / "timeline.png").stat().st_size < 150_000
    assert (tmp_path / "timeline.svg").stat().st_size < 600_000


def test_hostile_names_stay_text_in_the_svg(tmp_path: Path) -> None:
    found, picture = run_of(tmp_path, probe=False)
    bad = '</text><script>alert(1)</script>&amp;"]]>'
    pods = tuple(replace(pod, name=bad) for pod in found.timeline.pods)
    timeline = replace(found.timeline, pods=pods)
    said = replace(found, about=replace(found.about, name=bad), timeline=timeline)
    drawn = svg_of(said, replace(picture, timeline=timeline))
    root = ET.fromstring(drawn)  # noqa: S314  made by ourselves
    assert not {one.tag for one in root.iter()} & {f"{SVG}script", "script"}
    assert any(bad in word for word in words_of(said, replace(picture, timeline=timeline)))


def test_an_svg_reaches_for_nothing_outside_itself(tmp_path: Path) -> None:
    drawn = svg_of(*run_of(tmp_path, probe=False))
    assert not [ref for ref in re.findall(r'href="([^"]*)"', drawn) if not ref.startswith("#")]
    assert not re.search(r"url\((?!['\"]?#)", drawn)
    assert "<image" not in drawn
