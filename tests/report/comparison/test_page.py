"""compare.html: what it says without its script, and that nothing in it comes from or goes anywhere else."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.judge.comparison.comparison import compare
from harness.judge.comparison.picture import (
    MOMENTS,
    MOST_MOMENTS,
    Key,
    Moment,
    Overlay,
    Seen,
    judged_with_pictures,
    overlay,
)
from harness.judge.comparison.record import Conclusion
from harness.judge.comparison.sides import side_of
from harness.judge.wording import cause_in_words
from harness.recording.read import Recording
from harness.report.comparison.page import svg
from harness.report.comparison.page.headline import BECAME
from harness.report.comparison.page.page import render
from harness.report.comparison.page.timelines import hovered
from tests.judge.synthetic import SyntheticRun
from tests.judge.test_rollouts import clean, lossy, series
from tests.report.page.test_page import HOSTILE, data_of, parsed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.judge.comparison.record import Comparison

Compared = tuple["Comparison", Overlay]


def compared(before: Sequence[Path], after: Sequence[Path]) -> Compared:
    sides = []
    for name, paths in (("before", before), ("after", after)):
        runs, pictures = [], dict[Key, Seen]()
        for path in paths:
            run, its = judged_with_pictures(Recording.open(path))
            runs.append(run)
            pictures |= its
        sides.append((side_of(name, runs), pictures))
    (first, its), (second, others) = sides
    laid = overlay(first, second, its, others)
    assert laid
    return compare(first, second), laid


@pytest.fixture(scope="module")
def better(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """Five rollouts that lose requests without a preStop, against five with one that lose none."""
    root = tmp_path_factory.mktemp("runs")
    return compared(
        [series(root / "a", *(lossy() for _ in range(5)))], [series(root / "b", *(clean() for _ in range(5)))]
    )


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    root = tmp_path_factory.mktemp("runs")
    return compared([lossy().write(root / "a")], [clean().write(root / "b")])


def test_the_page_says_conclusion_evidence_causes_and_changes_without_its_script(better: Compared) -> None:
    comparison, laid = better
    assert comparison.conclusion is Conclusion.BETTER
    said = parsed(render(comparison, laid)).text
    assert "BETTER" in said
    assert comparison.sentence.removeprefix("Better: ") in said
    for sentence in comparison.evidence:
        assert sentence in said
    assert comparison.causes
    for cause in comparison.causes:
        assert cause_in_words(cause.name, cause.ids) in said
        assert BECAME.get(cause.what, cause.what) in said
    assert comparison.manifest
    for change in comparison.manifest:
        assert change.change.path in said
        for explained in change.explains:
            assert explained in said
    for row in comparison.rows:
        assert row.name.strip() in said
        assert row.after in said
    for one in comparison.differences:
        assert one.name in said
    for side in (comparison.before, comparison.after):
        for run in side.runs:
            assert run.folder in said


def test_the_field_that_explains_the_change_stands_first_and_is_marked(better: Compared) -> None:
    comparison, laid = better
    text = render(comparison, laid)
    table = text.partition('id="manifest"')[2].partition("</table>")[0]
    first = table.partition("<tbody>")[2].partition("</tr>")[0]
    assert "preStop" in first
    assert '<mark class="explains">B1 vanished' in first


@pytest.mark.parametrize(
    ("conclusion", "word", "look"),
    [
        (Conclusion.BETTER, "BETTER", "top pass"),
        (Conclusion.WORSE, "WORSE", "top fail"),
        (Conclusion.NO_WORSE, "NO WORSE", "top pass"),
        (Conclusion.CANNOT_TELL, "CANNOT TELL", "top inconclusive"),
        (Conclusion.NOT_COMPARABLE, "NOT COMPARABLE", "top inconclusive"),
    ],
)
def test_each_conclusion_has_its_word_and_its_colour(
    single: Compared, conclusion: Conclusion, word: str, look: str
) -> None:
    comparison, laid = single
    text = render(replace(comparison, conclusion=conclusion), laid)
    assert f'class="{look}"' in text
    badge = re.search(r'<span class="badge">(.*?)</h1>', text)
    assert badge
    assert word in badge[1]
    assert f"<title>{word}: " in text


def test_a_sentence_does_not_repeat_its_badge(single: Compared) -> None:
    comparison, laid = single
    told = replace(
        comparison, conclusion=Conclusion.CANNOT_TELL, sentence="Cannot tell: 3 before; 4 more rollouts would"
    )
    text = render(told, laid)
    assert "<h1>3 before</h1>" in text
    assert "4 more rollouts would" in parsed(text).text
    assert "Cannot tell: 3" not in text


def test_a_cause_that_lost_more_of_less_is_a_larger_share_and_alternatives_are_words(
    single: Compared,
) -> None:
    comparison, laid = single
    cause, change = comparison.causes[0], comparison.manifest[0]
    moved = replace(
        comparison,
        causes=(replace(cause, ids=("A1", "C1"), what="less", hits_before=9, hits_after=28),),
        manifest=(replace(change, explains=("A1|C1 appeared",)),),
    )
    said = parsed(render(moved, laid)).text
    assert "smaller share" in said
    assert "A1 or C1 appeared" in said
    assert "A1|C1" not in said


def test_where_the_sides_cannot_be_compared_nothing_is_beyond_chance(better: Compared) -> None:
    comparison, laid = better
    assert "beyond chance" in render(comparison, laid)
    text = render(replace(comparison, conclusion=Conclusion.NOT_COMPARABLE), laid)
    assert "beyond chance" not in text
    measures = text.partition('id="measures"')[2].partition("</section>")[0]
    assert 'class="told"' not in measures


def test_the_arms_of_an_experiment_are_named(single: Compared) -> None:
    comparison, laid = single
    arms = replace(comparison, after=replace(comparison.after, name="with-preStop"))
    assert "with-preStop: " in parsed(render(arms, laid)).text
    assert "before: " not in parsed(render(arms, laid)).text.partition("Why")[0]


def test_what_differs_beyond_chance_has_the_tiles_and_the_rest_is_counted(better: Compared) -> None:
    comparison, laid = better
    text = render(comparison, laid)
    top = text.partition('class="tiles"')[2].partition("</dl>")[0]
    told = [one for one in comparison.differences if one.direction and one.before is not None]
    shown = [one for one in told if f"<dt>{one.name}</dt>" in top]
    assert shown[0].primary
    assert len(shown) == min(len(told), 4)
    assert ("beyond chance</a>" in text) == (len(told) > 4)


def test_warnings_stand_before_all_charts(better: Compared) -> None:
    comparison, laid = better
    text = render(replace(comparison, warnings=("the load differs",)), laid)
    assert 0 < text.index("the load differs") < text.index("<svg")
    assert "Read this with care" not in render(replace(comparison, warnings=()), laid)


def test_each_rollout_has_a_dot_a_line_of_failures_and_one_of_good_answers(better: Compared) -> None:
    comparison, laid = better
    found = parsed(render(comparison, laid)).found
    for number, side in enumerate((comparison.before, comparison.after)):
        mine = [a for _, a in found if a.get("data-side") == str(number)]
        dots = [a for a in mine if "dot" in str(a["class"])]
        assert [a["data-rollout"] for a in dots] == [str(n) for n in range(len(side.rollouts))]
        failed = [a for a in mine if "area" in str(a["class"])]
        assert len(failed) == side.lossy
        good = [a for a in mine if str(a["class"]).startswith("r line") and "bold" in str(a["class"])]
        assert [a["data-rollout"] for a in good] == [str(laid.sides[number].typical)]


def test_charts_say_in_words_what_they_show(better: Compared) -> None:
    comparison, laid = better
    charts = [
        a for name, a in parsed(render(comparison, laid)).found if name == "svg" and a.get("role") == "img"
    ]
    labels = [str(a["aria-label"]) for a in charts]
    assert all(labels)
    lost = sum(one.failed for one in comparison.before.rollouts)
    assert f"BEFORE: failed requests over time: {lost:,} in 5 rollouts" in labels
    assert any(label.startswith("AFTER: none lost in any") for label in labels)
    assert any(
        label.startswith("During the rollout, latency of good answers: BEFORE p50") for label in labels
    )


def test_headroom_is_shown_for_the_side_that_has_the_protection(better: Compared) -> None:
    comparison, laid = better
    text = render(comparison, laid)
    part = text.partition('id="headroom"')[2].partition("</section>")[0]
    prestop = part.partition(">preStop ")[2].partition('class="protection"')[0]
    before, after = prestop.split(">AFTER<")
    assert "none, or not measured" in before
    least = min(
        (m for one in comparison.after.rollouts for m in one.headroom if m.what == "preStop"),
        key=lambda m: (m.of_ns or 0) - (m.used_ns or 0),
    )
    assert least.sentence in after
    assert after.count('class="each s1"') == len(comparison.after.rollouts)


def test_a_page_of_single_rollouts_has_no_intervals_and_no_faint_lines(single: Compared) -> None:
    comparison, laid = single
    elements = parsed(render(comparison, laid)).found
    assert not [a for _, a in elements if str(a.get("class", "")).startswith(("interval", "mean"))]
    thin = [a for _, a in elements if a.get("class") in {"r line s0", "r line s1"}]
    assert not thin


def test_without_anything_to_lay_over_each_other_the_words_remain(single: Compared) -> None:
    comparison, _ = single
    none = replace(comparison, before=replace(comparison.before, rollouts=()))
    text = render(none, None)
    assert data_of(text) is None
    assert 'id="timelines"' not in text
    assert 'id="lost"' not in text
    assert 'id="numbers"' in text


def test_nothing_in_the_page_refers_to_anything_outside_of_it(better: Compared) -> None:
    text = render(*better)
    for name, attributes in parsed(text).found:
        for key in ("src", "href", "action", "data", "poster", "srcset"):
            assert (attributes.get(key) or "#").startswith(("#", "data:,")), (name, attributes)
        assert not [key for key in attributes if key.startswith("on") or key == "style"], (name, attributes)
        assert name not in {"iframe", "object", "embed", "img", "base", "use", "image", "foreignobject"}
    assert "url(" not in text
    assert "@import" not in text


def test_links_within_the_page_lead_somewhere(better: Compared) -> None:
    found = parsed(render(*better)).found
    ids = [str(a["id"]) for _, a in found if a.get("id")]
    assert len(ids) == len(set(ids))
    for _, attributes in found:
        for key in ("href", "aria-labelledby", "aria-describedby"):
            target = str(attributes.get(key) or "")
            if target and not target.startswith("data:"):
                assert target.removeprefix("#") in ids, attributes


def test_the_policy_forbids_all_but_the_pages_own_script_and_styles(better: Compared) -> None:
    elements = parsed(render(*better))
    policy = next(
        str(a["content"]) for _, a in elements.found if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    styles, data, script = elements.scripts
    for text in (styles, script):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert data.startswith("{")


def test_hostile_texts_stay_text(tmp_path: Path) -> None:
    plain = compared([lossy().write(tmp_path / "a")], [clean().write(tmp_path / "b")])
    evil = SyntheticRun.rolling()
    for pod in evil.pods:
        pod.name = f"{pod.name}{HOSTILE}"
    comparison, laid = compared([evil.write(tmp_path / "c")], [clean().write(tmp_path / "d")])
    run = replace(comparison.before.runs[0], folder=HOSTILE, headline=HOSTILE)
    comparison = replace(
        comparison,
        sentence=HOSTILE,
        evidence=(HOSTILE,),
        warnings=(HOSTILE,),
        before=replace(comparison.before, runs=(run,)),
        manifest=tuple(
            replace(one, change=replace(one.change, before=HOSTILE, after=HOSTILE))
            for one in comparison.manifest
        ),
        causes=tuple(replace(one, name=HOSTILE) for one in comparison.causes),
        rows=tuple(replace(one, before=HOSTILE) for one in comparison.rows),
    )
    text = render(comparison, laid)
    known = {name for name, _ in parsed(render(*plain)).found}
    assert {name for name, _ in parsed(text).found} <= known
    assert text.count("</script>") == 2
    assert not [a for _, attributes in parsed(text).found for a in attributes if a.startswith("on")]
    assert "onerror" in parsed(text).text


def test_the_numbers_that_are_read_out_are_those_of_the_rollouts(better: Compared) -> None:
    comparison, laid = better
    data = data_of(render(comparison, laid))
    assert data == json.loads(json.dumps(hovered(laid)))
    for number, side in enumerate((comparison.before, comparison.after)):
        for one, told in zip(side.rollouts, data["sides"][number]["rollouts"], strict=True):
            assert sum(told["failed"].values()) == one.failed
            assert told["lost"] == one.lost
            drawn = laid.sides[number].rollouts[one.number - 1]
            assert told["place"] == drawn.place == one.number - 1
            k, (first, last) = data["every"], told["known"]
            assert sum(told["good"]) == int(drawn.good[first * k : last * k].sum())
            assert len(told["good"]) == last - first


def test_twelve_rollouts_of_a_hundred_thousand_hits_fit_into_a_megabyte(single: Compared) -> None:
    comparison, laid = single
    chance = np.random.default_rng(1)
    count, hits = 1000, 100_000
    one = laid.before.rollouts[0]
    moments = tuple(Moment(MOMENTS[n % 4], n * 10**8) for n in range(MOST_MOMENTS))

    def noisy(side: Any) -> Any:
        drawn = tuple(
            replace(
                one,
                known=(0, count),
                good=chance.poisson(hits / count, count).astype(np.int64),
                failed=chance.poisson(2, count).astype(np.int64),
                moments=moments,
            )
            for _ in range(12)
        )
        return replace(side, rollouts=drawn, of=12, typical=0)

    wide = replace(laid, count=count, before=noisy(laid.before), after=noisy(laid.after))
    assert len(render(comparison, wide).encode()) < 1_000_000


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ([0, 0, 0], ""),
        ([0, 2, 0], "M1 100V50H2V100Z"),
        ([4, 4, 0, 1], "M0 100V0H1V0H2V100ZM3 100V75H4V100Z"),
    ],
)
def test_steps_rise_from_the_ground_and_come_back_to_it(values: list[int], path: str) -> None:
    assert svg.steps(values, 4, 100, closed=True) == path


def test_ticks_are_round_seconds_within_the_window() -> None:
    found = svg.seconds(-5_000_000_000, 55_000_000_000)
    assert [words for _, words in found] == ["0", "+10", "+20", "+30", "+40", "+50"]
    assert found[0][0] == pytest.approx(5 / 60)
    assert [words for _, words in svg.seconds(-300_000_000, 700_000_000)] == [
        "\u22120.2", "0", "+0.2", "+0.4", "+0.6",
    ]  # fmt: skip
