"""What `zdtest lint` prints and writes: a reason once, each place with its line, and SARIF by its specification."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from harness.judge.lint.lint import LintFinding
from harness.report import lint
from harness.report.ci import sarif
from harness.scenario.places import Place
from tests.report.ci.runs import HOSTILE
from tests.report.ci.test_outputs import zdtest

if TYPE_CHECKING:
    from pathlib import Path

APP = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: app
        image: web:1
        ports: [{{containerPort: 8080}}]
"""
TWELVE = tuple(f"shop-{n}" for n in range(12))

# What SARIF 2.1.0 says of the properties that are used here: sections 3.13 (sarifLog) to 3.30 (region). Nothing else
# may be there. The whole schema has 3,000 lines.
_TEXT = {
    "type": "object",
    "required": ["text"],
    "additionalProperties": False,
    "properties": {"text": {"type": "string", "minLength": 1}},
}
_LEVEL = {"enum": ["none", "note", "warning", "error"]}
SARIF: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["version", "runs"],
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/run"}},
    },
    "$defs": {
        "run": {
            "type": "object",
            "additionalProperties": False,
            "required": ["tool", "results"],
            "properties": {
                "tool": {
                    "type": "object",
                    "required": ["driver"],
                    "additionalProperties": False,
                    "properties": {"driver": {"$ref": "#/$defs/driver"}},
                },
                "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                "results": {"type": "array", "items": {"$ref": "#/$defs/result"}},
            },
        },
        "driver": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": {
                "name": {"type": "string"},
                "version": {"type": "string"},
                "rules": {"type": "array", "uniqueItems": True, "items": {"$ref": "#/$defs/rule"}},
            },
        },
        "rule": {
            "type": "object",
            "required": ["id"],
            "additionalProperties": False,
            "properties": {
                "id": {"type": "string"},
                "shortDescription": _TEXT,
                "fullDescription": _TEXT,
                "help": _TEXT,
                "helpUri": {"type": "string", "format": "uri", "pattern": r"^https://\S+$"},
                "defaultConfiguration": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"level": _LEVEL},
                },
            },
        },
        "result": {
            "type": "object",
            "required": ["ruleId", "message", "locations"],
            "additionalProperties": False,
            "properties": {
                "ruleId": {"type": "string"},
                "ruleIndex": {"type": "integer", "minimum": 0},
                "level": _LEVEL,
                "message": _TEXT,
                "locations": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/location"}},
                "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
        "location": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "physicalLocation": {
                    "type": "object",
                    "required": ["artifactLocation", "region"],
                    "additionalProperties": False,
                    "properties": {
                        "artifactLocation": {
                            "type": "object",
                            "required": ["uri"],
                            "additionalProperties": False,
                            "properties": {"uri": {"type": "string", "pattern": r"^[A-Za-z0-9._~/%:@-]+$"}},
                        },
                        "region": {
                            "type": "object",
                            "required": ["startLine"],
                            "additionalProperties": False,
                            "properties": {"startLine": {"type": "integer", "minimum": 1}},
                        },
                    },
                },
                "logicalLocations": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {"fullyQualifiedName": {"type": "string"}},
                    },
                },
            },
        },
    },
}


def valid(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    jsonschema.Draft202012Validator(SARIF).validate(found)
    run = found["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert len({r["partialFingerprints"]["zdtestPlace/v1"] for r in run["results"]}) == len(run["results"])
    return found


def demo(root: Path) -> Path:
    (root / "k8s").mkdir()
    for name in TWELVE:
        (root / "k8s" / f"{name}.yaml").write_text(APP.format(name=name))
    return root


def finding(rule: str = "r", severity: str = "error", path: str = "spec", message: str = "m") -> LintFinding:
    return LintFinding(rule, severity, "Deployment/web", path, message, "because", "kubernetes.io/docs")


def test_a_reason_is_said_once_and_its_places_stand_below_it_with_their_lines(tmp_path: Path) -> None:
    done = zdtest(demo(tmp_path), "lint", "k8s")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    heads = [line for line in lines if re.match(r"(error|warning|info) \[", line)]
    assert len(heads) == len({line.split("]")[0] for line in heads}) < 8
    assert sum(line.startswith("  why: ") for line in lines) == len(heads)
    missing = lines.index(next(line for line in heads if "[readiness-missing]" in line))
    assert "in 12 places" in lines[missing]
    places = [line for line in lines[missing:] if line.startswith("  k8s/")][:12]
    assert (
        places[0]
        == "  k8s/shop-0.yaml:12: Deployment/shop-0 spec.template.spec.containers[app].readinessProbe"
    )
    assert {place.split(":")[1] for place in places} == {"12"}
    assert heads == sorted(heads, key=lambda line: ("error", "warning", "info").index(line.split()[0]))
    assert re.fullmatch(r"\d+ errors, \d+ warnings, \d+ for information", lines[-1])


def test_where_messages_differ_each_place_has_its_own() -> None:
    placed = [lint.Placed(finding(message=f"{n} s"), Place("a.yaml", n)) for n in (1, 2)]
    assert lint.lines(placed).splitlines()[:6] == [
        "error [r], in 2 places",
        "  why: because (kubernetes.io/docs)",
        "  a.yaml:1: Deployment/web spec",
        "    1 s",
        "  a.yaml:2: Deployment/web spec",
        "    2 s",
    ]


def test_a_live_object_has_no_line() -> None:
    assert "  Deployment/web spec" in lint.lines([lint.Placed(finding())]).splitlines()


def test_a_finding_about_the_service_stands_in_the_service_s_file(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text(APP.format(name="web"))
    (tmp_path / "svc.yaml").write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  selector: {app: web}\n"
        "  publishNotReadyAddresses: true\n  ports: [{port: 80, targetPort: 8080}]\n"
    )
    done = zdtest(tmp_path, "lint", ".", "--format", "json")
    found = {f["rule"]: (f["file"], f["line"]) for f in json.loads(done.stdout)["findings"]}
    assert found["publish-not-ready"] == ("svc.yaml", 6)
    assert found["readiness-missing"] == ("app.yaml", 12)


def test_json_has_every_place_and_the_exit_code_stays(tmp_path: Path) -> None:
    done = zdtest(demo(tmp_path), "lint", "k8s", "--format", "json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["format"] == 1
    assert found["counts"]["error"] == sum(f["severity"] == "error" for f in found["findings"])
    assert all(f["file"].startswith("k8s/shop-") and f["line"] > 0 for f in found["findings"])


def test_sarif_is_valid_and_names_files_as_the_repository_does(tmp_path: Path) -> None:
    done = zdtest(demo(tmp_path), "lint", "k8s", "--format", "sarif", "--sarif", "out.sarif")
    assert done.returncode == 1
    assert done.stdout == (tmp_path / "out.sarif").read_text()
    places = [r["locations"][0]["physicalLocation"] for r in valid(done.stdout)["runs"][0]["results"]]
    assert {place["artifactLocation"]["uri"] for place in places} == {f"k8s/{name}.yaml" for name in TWELVE}
    inner = zdtest(tmp_path / "k8s", "lint", ".", "--format", "sarif", GITHUB_WORKSPACE=str(tmp_path))
    places = [r["locations"][0]["physicalLocation"] for r in valid(inner.stdout)["runs"][0]["results"]]
    assert places[0]["artifactLocation"]["uri"].startswith("k8s/shop-")


def test_sarif_without_a_finding_is_valid_too() -> None:
    assert valid(sarif.render([]))["runs"][0]["results"] == []


def test_sarif_of_hostile_text_is_valid() -> None:
    found = LintFinding("r", "odd", HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    whole = valid(sarif.render([lint.Placed(found, Place("a b%#?ü\n.yaml", 1)), lint.Placed(found)]))
    assert "\\u202e" in json.dumps(whole).replace("\\\\", "\\")


def test_a_fingerprint_does_not_change_when_lines_move() -> None:
    def prints(line: int) -> str:
        text = sarif.render([lint.Placed(finding(), Place("a.yaml", line))])
        return str(json.loads(text)["runs"][0]["results"][0]["partialFingerprints"])

    assert prints(3) == prints(40)


def test_github_s_annotations_name_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text(APP.format(name="web"))
    done = zdtest(tmp_path, "lint", "app.yaml", "--format", "github")
    assert done.stdout.startswith("::error file=app.yaml,line=12,title=zdtest lint%3A readiness-missing::")
    beside = zdtest(tmp_path, "lint", "app.yaml", GITHUB_ACTIONS="true")
    assert beside.stderr == done.stdout
    assert "[readiness-missing]" in beside.stdout


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_a_malformed_manifest_is_one_line_and_exit_2_in_every_format(tmp_path: Path, form: str) -> None:
    (tmp_path / "app.yaml").write_text("kind: [")
    done = zdtest(tmp_path, "lint", "app.yaml", "--format", form, "--sarif", "x.sarif")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def test_a_sarif_file_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text(APP.format(name="web"))
    done = zdtest(tmp_path, "lint", "app.yaml", "--sarif", "no/x.sarif")
    assert done.returncode == 2
    assert "there is no folder no" in done.stderr
