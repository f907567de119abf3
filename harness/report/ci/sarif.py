"""Lint findings as SARIF 2.1.0 (OASIS), which GitHub's code scanning and editors read. Pure."""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from harness import __version__
from harness.escaping import for_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.lint.lint import LintFinding
    from harness.report.lint import Placed
    from harness.scenario.places import Place

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def render(placed: Sequence[Placed]) -> str:
    """Return the document, with a newline at its end."""
    rules = list({one.found.rule: one.found for one in placed}.values())
    index = {found.rule: number for number, found in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": "zdtest",
                "version": __version__,
                "rules": [_rule(found) for found in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(found, place, index[found.rule]) for found, place in placed],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _rule(found: LintFinding) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "id": found.rule,
        "shortDescription": {"text": for_line(found.reason)},
        "fullDescription": {"text": for_line(f"{found.reason} ({found.source})")},
        "help": {"text": for_line(f"{found.reason}. Source: {found.source}")},
        "defaultConfiguration": {"level": _LEVELS.get(found.severity, "note")},
    }
    if "/" in found.source and " " not in found.source:
        rule["helpUri"] = f"https://{found.source}"
    return rule


def _result(found: LintFinding, place: Place | None, index: int) -> dict[str, Any]:
    where = for_line(f"{found.object} {found.path}")
    location: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": where}]}
    if place:
        location["physicalLocation"] = {
            "artifactLocation": {"uri": _uri(place.file)},
            "region": {"startLine": place.line},
        }
    # What stays the same when lines move: code scanning recognises an alert by it.
    same = "\0".join((found.rule, found.object, found.path, place.file if place else ""))
    return {
        "ruleId": found.rule,
        "ruleIndex": index,
        "level": _LEVELS.get(found.severity, "note"),
        "message": {"text": f"{where}: {for_line(found.message)}"},
        "locations": [location],
        "partialFingerprints": {"zdtestPlace/v1": hashlib.sha256(same.encode(errors="replace")).hexdigest()},
    }


def _uri(file: str) -> str:
    path = PurePath(file)
    name = quote(path.as_posix().encode(errors="surrogateescape"))
    return f"file://{name}" if path.is_absolute() else name
