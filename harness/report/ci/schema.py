"""The JSON Schema of verdict.json: made from the records that it is written from, and published beside this file.

`python -m harness.report.ci.schema` makes verdict.schema.json anew; a test fails while it is stale. A property's
description is what verdict.words.txt says, else the comment beside the record's field, else the sentence about it.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import json
import re
import textwrap
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = Path(__file__).with_name("verdict.schema.json")
WORDS = Path(__file__).with_name("verdict.words.txt")
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_UNITS = (
    ("_ns", "In nanoseconds."),
    ("_per_s", "Per second."),
    ("_share", "A share, 0 to 1."),
)


def schema() -> dict[str, Any]:
    """Return the schema, with a description for every property whose meaning is written down."""
    from pydantic import TypeAdapter  # noqa: PLC0415  with what it reads, it is heavy

    from harness.judge.verdict.judgement import FORMAT, Judgement  # noqa: PLC0415

    made = TypeAdapter(Judgement).json_schema()
    known = _words()
    records = {record.__name__: record for record in _records(Judgement)}
    for name, described in made["$defs"].items():
        said = _said_of(records[name]) if name in records else {}
        if "description" in described:
            described["description"] = " ".join(described["description"].split())
        for field, part in described.get("properties", {}).items():
            part.pop("title", None)
            words = known.get(f"{name}.{field}") or said.get(field, "")
            unit = next((unit for suffix, unit in _UNITS if field.endswith(suffix)), "")
            if words or unit:
                part["description"] = " ".join(text for text in (words, unit) if text)
    made["$defs"]["Judgement"]["properties"]["format"] = {
        "const": FORMAT,
        "description": known["Judgement.format"],
    }
    about = (
        "The result of a run of zdtest. Times named _ns are integer nanoseconds; moments count from the start of the "
        "run, and timeline.zero_ns is the trigger. Readers must accept properties that they do not know."
    )
    head = {
        "$schema": DIALECT,
        "$id": f"urn:zdtest:verdict:{FORMAT}",
        "title": f"zdtest verdict.json, format {FORMAT}",
    }
    return {**head, "description": about, **made}


def published() -> str:
    """Return the schema as it stands in the file."""
    return FILE.read_text(encoding="utf-8")


def text() -> str:
    """Return the schema as it is published."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _words() -> dict[str, str]:
    lines = WORDS.read_text(encoding="utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines if re.match(r"[A-Z]\w*\.\w+: ", line))


def _records(record: type) -> Iterator[type]:
    """Yield a record and all that it is made of, once each."""
    from typing import get_args, get_type_hints  # noqa: PLC0415

    seen: set[type] = set()
    todo: list[Any] = [record]
    while todo:
        one = todo.pop()
        if (
            isinstance(one, type)
            and one not in seen
            and (dataclasses.is_dataclass(one) or hasattr(one, "_fields"))
        ):
            seen.add(one)
            yield one
            todo += get_type_hints(one).values()
        todo += [inner for inner in get_args(one) if inner is not Ellipsis]


def _said_of(record: type) -> dict[str, str]:
    """Return what is written about each field of a record: the comment beside it, else its sentence in the text."""
    source = textwrap.dedent(inspect.getsource(record))
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and not token.string.startswith(("# noqa", "# fmt"))
    }
    found: dict[str, str] = {}
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101  what getsource returned
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            beside = " ".join(comments[n] for n in lines if n in comments)
            above = (
                comments.get(node.lineno - 1, "")
                if source.splitlines()[node.lineno - 2].lstrip()[:1] == "#"
                else ""
            )
            words = beside or above or _sentence(inspect.getdoc(record) or "", node.target.id)
            if words:
                found[node.target.id] = _as_sentence(words)
    return found


def _sentence(doc: str, name: str) -> str:
    """Return the sentence that begins with a field's name."""
    flat = " ".join(doc.split())
    match = re.search(rf"(?:^|[.:;] )`{name}`:? (?:is |are )?(.+?)(?=\. [`A-Z]|; `|\.$|$)", flat)
    return match[1] if match else ""


def _as_sentence(words: str) -> str:
    words = words.strip().removeprefix("... ").removeprefix("… ")
    words = words[:1].upper() + words[1:]
    return words if words.endswith((".", "?")) else f"{words}."


if __name__ == "__main__":
    from harness.recording.folder import publish

    publish(FILE, text())
