"""The top of the page, for a reader with ten seconds: the verdict, what was lost, why, and what to change."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from harness.judge.findings.finding import LOSSLESS
from harness.judge.wording import at, cause_in_words, count, lasting, share
from harness.model import Grade
from harness.report.page.markup import Markup, joined, listed, tag
from harness.report.summary import sentences
from harness.report.summary.attention import NOTHING, attention
from harness.report.summary.remedies import remedy

if TYPE_CHECKING:
    from harness.judge.causes.causes import Cause
    from harness.judge.picture.picture import Picture
    from harness.judge.verdict.judgement import Judgement

_SIGNS = {Grade.PASS: "\u2713", Grade.FAIL: "\u2715", Grade.INCONCLUSIVE: "?"}
_SHOWN = 3  # causes; all are below the picture
_PODS = 4
_AGES = {(True,): "old ", (False,): "new ", (False, True): ""}


def render(judgement: Judgement, picture: Picture) -> Markup:
    """Return the page's top. The judgement's texts are already escaped for a line."""
    return joined(
        [
            tag("div", _verdict(judgement), _tiles(judgement), class_=f"top {judgement.grade.lower()}"),
            _answers(judgement, picture),
        ]
    )


def _verdict(judgement: Judgement) -> Markup:
    about, grade = judgement.about, judgement.grade
    target, change = sentences.target_and_change(judgement)
    facts = [tag("span", text) for text in (about.name, about.began, change, target) if text]
    badge = tag("span", tag("span", _SIGNS[grade], aria_hidden="true"), f" {grade}", class_="badge")
    return tag(
        "div",
        badge,
        tag("h1", judgement.verdict.headline),
        tag("p", *facts, class_="facts"),
        class_="verdict",
    )


def _tiles(judgement: Judgement) -> Markup:
    verdict, numbers, zero = judgement.verdict, judgement.numbers, judgement.timeline.zero_ns
    triggered = judgement.timeline.triggered
    lost = verdict.lost if triggered or verdict.lost else numbers.failed
    word = "lost" if triggered else "failed"
    held = judgement.streams
    tiles = [
        _tile(
            "Streams cut",
            f"{held.blamed:,}",
            f"of {held.held:,} ({share(held.blamed, held.held)})"
            + (f"; a limit cut {held.limited:,} more" if held.limited else ""),
            bad=bool(held.blamed),
        )
        if held is not None and held.held
        else _tile(
            f"Requests {word}", f"{lost:,}", f"of {verdict.of:,} ({share(lost, verdict.of)})", bad=bool(lost)
        )
    ]
    outage = numbers.outage
    back = held.back if held is not None else None
    tiles.append(
        _tile(
            "Back after their loss",
            lasting(back.percentiles["50"]),
            f"median; {lasting(back.max_ns)} at most",
            bad=held.over > 0,
        )
        if held is not None and back is not None
        else _tile(
            "Longest outage (nothing but failures)",
            lasting(outage.to_ns - outage.from_ns) if outage else "none",
            f"at {at(outage.from_ns, zero)}" if outage else "",
            bad=outage is not None,
        )
    )
    tiles.append(
        _tile(
            "Seconds with failures",
            f"{numbers.bad_seconds:,}",
            f"of {numbers.seconds_total:,}",
            bad=numbers.bad_seconds > 0,
        )
    )
    if numbers.latency is not None:
        p50, p99 = (lasting(numbers.latency.percentiles[p]) for p in ("50", "99"))
        name = "From one message to the next" if held is not None else "Good answers took"
        tiles.append(_tile(name, p50, f"p50; p99 {p99}"))
    if judgement.rollouts:
        bad = sum(bool(one.verdict.lost) for one in judgement.rollouts)
        tiles.insert(
            1, _tile("Rollouts that lost any", f"{bad}", f"of {len(judgement.rollouts)}", bad=bad > 0)
        )
    return tag("dl", *tiles, class_="tiles")


def _tile(label: str, value: str, more: str, *, bad: bool = False) -> Markup:
    return tag(
        "div",
        tag("dt", label),
        tag("dd", tag("b", value, class_="bad" if bad else None), " ", tag("span", more)),
        class_="tile",
    )


def _answers(judgement: Judgement, picture: Picture) -> Markup:
    """Answer the two questions: why, and what to change. Without a loss: what is proven, and what is not."""
    if judgement.grade is Grade.PASS:
        allowed = _change(judgement) if judgement.verdict.lost else None  # its objective lets it lose some
        shown = [_proven(judgement), allowed or _attention(judgement)]
    elif judgement.grade is Grade.INCONCLUSIVE:
        shown = [_doubts(judgement), _attention(judgement)]
    else:
        shown = [_why(judgement, picture), _change(judgement) or _attention(judgement)]
    return tag("div", *shown, class_="answers")


def cause_button(cause: Cause, picture: Picture) -> Markup:
    """Return a cause as a button that selects its failures in the picture, where it has any."""
    words = cause_in_words(cause.name, cause.ids)
    number = tag("b", f"{cause.hits:,}", class_="count")
    known = picture.failures.causes
    if cause.ids not in known:
        return tag("span", number, " ", words, class_="cause")
    return tag(
        "button",
        number,
        " ",
        words,
        type="button",
        class_="cause",
        data_cause=known.index(cause.ids),
        aria_pressed="false",
        title="Show these failures only",
    )


def _why(judgement: Judgement, picture: Picture) -> Markup:
    causes = [cause for cause in judgement.causes if cause.the_rollouts]
    lines: list[Markup | str] = [cause_button(cause, picture) for cause in causes[:_SHOWN]]
    if len(causes) > _SHOWN:
        lines.append(f"and {len(causes) - _SHOWN} more, below")
    if not causes and judgement.verdict.lost:
        lines.append(sentences.without_cause(judgement))
    said = [
        *sentences.broken(judgement),
        *([sentences.when_lost(judgement)] if judgement.verdict.lost else []),
        sentences.lost_by_rollout(judgement) if judgement.verdict.lost else "",
        sentences.unnoticed(judgement) if judgement.verdict.lost else sentences.how_many_failed(judgement),
    ]
    pods = pod_buttons(causes[0], picture)[:_PODS] if causes else []
    return _card(
        "Why",
        listed(lines, class_="causes"),
        *(tag("p", text) for text in said if text),
        tag(
            "p",
            "By pod: " if len(causes) == 1 else "By pod, for the first cause: ",
            *pods,
            class_="pods",
        )
        if pods
        else None,
    )


def pod_buttons(cause: Cause, picture: Picture) -> list[Markup]:
    """Return the pods that a cause's failures fit, those with most first, as buttons that select what failed there."""
    names, fitting = picture.failures.pods, picture.failures.pods_of(cause.ids)
    fit, ages = Counter[int](), defaultdict[int, set[bool]](set)
    for part in cause.pods:  # of several rollouts, a pod may be a new one in one, and an old one in the next
        place = names.index(part.pod) if part.pod in names else -1
        if place in fitting:
            fit[place] += part.hits
            ages[place].add(part.old)
    return [
        joined(
            [
                tag(
                    "button",
                    f"{names[place]}: {hits:,}",
                    type="button",
                    class_="pod",
                    data_pod=place,
                    aria_pressed="false",
                    title=f"{count(hits, 'failure')} fit this {_AGES[tuple(sorted(ages[place]))]}pod: show them",
                ),
                " ",
            ]
        )
        for place, hits in fit.most_common()
    ]


def _change(judgement: Judgement) -> Markup | None:
    causes = [cause for cause in judgement.causes if cause.the_rollouts]
    fixes: list[str] = []
    for cause in causes:
        fixes += sentences.new_fixes(cause, fixes)
    if not fixes:
        return None
    patch = judgement.advice.patch if judgement.advice else None
    link = tag("p", tag("a", "The whole patch, with a copy button", href="#fix")) if patch else None
    return _card("What to change", listed([fix_line(fix) for fix in fixes]), link)


def fix_line(text: str) -> Markup | str:
    """Return a line of advice, the manifest's path in it as code."""
    path, colon, rest = text.partition(": ")
    plain = path.removeprefix("until then ")
    if not colon or not plain.startswith("spec.") or " " in plain:
        return quoted(text)
    lead = "until then " if plain != path else ""
    return joined([lead, tag("code", plain), ": ", quoted(rest)])


def quoted(text: str) -> Markup:
    """Return what stands between backticks as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return joined([text])
    return joined(tag("code", part) if number % 2 else part for number, part in enumerate(parts))


def _proven(judgement: Judgement) -> Markup:
    lines = [sentences.through(judgement), *sentences.proofs(judgement), judgement.verdict.bound]
    return _card("What this proves", listed(lines))


def _doubts(judgement: Judgement) -> Markup:
    doubts = [f for f in judgement.verdict.findings if f.grade is Grade.INCONCLUSIVE]
    lines = []
    for finding in sorted(doubts, key=lambda f: f.objective == LOSSLESS):
        to_do = remedy(finding, judgement)
        lines.append(
            joined(
                [
                    tag("b", finding.objective),
                    f": {finding.observed}",
                    tag("div", f"to do: {to_do}", class_="todo") if to_do else "",
                ]
            )
        )
    return _card("Why this is no PASS", listed(lines))


def _attention(judgement: Judgement) -> Markup:
    failed = sentences.how_many_failed(judgement) if not judgement.verdict.lost else ""
    close = sentences.closest(judgement) if judgement.grade is Grade.PASS else ""
    lines = [failed, f"closest: {close}" if close else "", *_whole(attention(judgement))]
    if any(lines[:2]):
        lines = [line for line in lines if line != NOTHING]
    return _card("What else to look at", listed(lines))


def _whole(wrapped: list[str]) -> list[str]:
    """Join lines that were wrapped for a terminal: those that go on begin with a space."""
    found: list[str] = []
    for line in wrapped:
        if line.startswith(" ") and found:
            found[-1] += f" {line.strip()}"
        else:
            found.append(line)
    return found


def _card(title: str, *inside: Markup | None) -> Markup:
    return tag("section", tag("h2", title), *inside, class_="card")
