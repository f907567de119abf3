"""`zdtest scenarios`."""

from __future__ import annotations

import json

import click

from harness.cli.root import root, show
from harness.model import ExitCode

_WIDTH = 100


@root.command()
@click.argument("word", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array: name, label, text, path, needs.")
def scenarios(word: str | None, *, as_json: bool) -> int:
    """List the scenarios that come with zdtest: each one's name, its one fault, and what it shows.

    With WORD, only those with that word in the name, label or text. `zdtest run -f NAME` runs one on the embedded lab,
    `zdtest run URL -f NAME` on a real cluster; the list says what that cluster must have.
    """
    import textwrap  # noqa: PLC0415  keeps `--help` light

    from harness.scenario.catalogue import entries  # noqa: PLC0415
    from harness.scenario.resolve import shipped  # noqa: PLC0415

    found = [
        entry
        for entry in entries(shipped())
        if word is None or word.lower() in f"{entry.name} {entry.label} {entry.text}".lower()
    ]
    if as_json:
        rows = [
            {"name": e.name, "label": e.label, "text": e.text, "path": str(e.path), "needs": e.needs}
            for e in found
        ]
        show(json.dumps(rows, indent=1))
        return ExitCode.PASS
    name = max((len(entry.name) for entry in found), default=0)
    label = max((len(entry.label) for entry in found), default=0)
    for entry in found:
        indent = " " * (name + label + 4)
        head = f"{entry.name:{name}}  {entry.label:{label}}  "
        text = entry.first_sentence + (f" A real cluster needs {entry.needs}." if entry.needs else "")
        lines = textwrap.wrap(text, max(_WIDTH - len(indent), 40)) or [""]
        show("\n".join(f"{head if n == 0 else indent}{line}" for n, line in enumerate(lines)))
    if not found:
        show(f"no scenario has {word!r} in its name, label or text")
    return ExitCode.PASS
