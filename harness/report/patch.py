"""The advice as YAML for `kubectl patch --patch-file`, with reasons and warnings as comments above it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import yaml

from harness.escaping import for_line
from harness.k8s.argo import KIND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.judge.verdict.judgement import Judgement

WIDTH = 110


def render(judgement: Judgement) -> str:
    """Return a YAML document, without a newline at its end. An empty patch is `{}`: it changes nothing."""
    return "\n".join([*_comments(judgement), _document(judgement)])


def _document(judgement: Judgement) -> str:
    patch = judgement.advice.patch if judgement.advice else {}
    text: str = yaml.safe_dump(patch, sort_keys=False, default_flow_style=False, width=WIDTH)
    return text.rstrip()


def _comments(judgement: Judgement) -> Iterator[str]:
    about, advice = judgement.about, judgement.advice
    yield from _comment(f"{about.folder}: {judgement.verdict.grade}, {judgement.verdict.headline}", "")
    if advice is None:
        yield from _comment(
            "No advice: this run has no rollout, or its workload's manifest was not kept.", ""
        )
        return
    if not advice.patch:
        yield from _comment("Nothing to change.", "")
    elif advice.kubectl:
        target = f"{advice.kind.lower()}/{advice.name}"
        how = f"{advice.kubectl} patch {target} --patch-file FILE"
        if advice.kind == KIND:  # kubectl would refuse it, or take the list for all containers
            how = f"A custom resource takes no such patch: put these fields into the manifest of {target}."
        yield from _comment(how, "")
    for line in advice.lines:
        yield "#"
        yield from _comment(f"{line.path}: {line.value}", "")
        yield from _comment(f"why: {line.reason}", "  ")
        yield from _comment(f"seen: {line.evidence}", "  ")
    if advice.warnings:
        yield "#"
    for warning in advice.warnings:
        yield from _comment(f"note: {warning}", "")


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        for_line(text),  # a line break of any kind would end the comment
        WIDTH,
        initial_indent=f"# {indent}",
        subsequent_indent=f"# {indent}  ",
        break_on_hyphens=False,
        break_long_words=False,
    )
