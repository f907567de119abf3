"""docs/verdict.md matches the code: rows are objectives, cells the grades each can get, numbers the constants."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from harness.judge.findings import finding, load, unanswered
from harness.judge.findings.finding import OBJECTIVES
from harness.judge.numbers import excess, sending
from harness.model import Grade, WatchGap
from harness.scenario.schema import Scenario

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "verdict.md").read_text()
NAMES = {name: value for name, value in vars(finding).items() if value in OBJECTIVES}


def rows() -> dict[str, dict[Grade, str]]:
    """The page's table: by objective, its text for FAIL and for INCONCLUSIVE."""
    table = [line for line in PAGE.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1:]]
    return {name: {Grade.FAIL: fails, Grade.INCONCLUSIVE: withheld} for name, fails, withheld in cells}


def grades_in_code() -> dict[str, set[Grade]]:
    """By objective, the grades of all `Finding(objective, ..., grade)` in the judge."""
    found: dict[str, set[Grade]] = defaultdict(set)
    for file in (ROOT / "harness" / "judge").rglob("*.py"):
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, ast.FunctionDef):
                for objective, grade in _findings(function):
                    found[objective].add(grade)
    return found


def _findings(function: ast.FunctionDef) -> list[tuple[str, Grade]]:
    values: dict[str, list[ast.expr]] = defaultdict(list)
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values[node.targets[0].id].append(node.value)
    pairs = []
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
            objective, grade = node.args[0], node.args[2] if len(node.args) > 2 else node.keywords[-1].value
            pairs += [
                (name, what) for name in _objectives(objective, values) for what in _grades(grade, values)
            ]
    return pairs


def _resolved(node: ast.expr, values: dict[str, list[ast.expr]]) -> list[ast.expr]:
    return values.get(node.id, [node]) if isinstance(node, ast.Name) else [node]


def _objectives(node: ast.expr, values: dict[str, list[ast.expr]]) -> list[str]:
    inside = [inner for one in _resolved(node, values) for inner in ast.walk(one)]
    return [NAMES[inner.id] for inner in inside if isinstance(inner, ast.Name) and inner.id in NAMES]


def _grades(node: ast.expr, values: dict[str, list[ast.expr]]) -> list[Grade]:
    inside = [inner for one in _resolved(node, values) for inner in ast.walk(one)]
    return [
        Grade[inner.attr]
        for inner in inside
        if isinstance(inner, ast.Attribute)
        and isinstance(inner.value, ast.Name)
        and inner.value.id == "Grade"
    ]


def test_every_objective_has_one_row_and_every_row_is_an_objective() -> None:
    assert tuple(rows()) == OBJECTIVES


def test_every_objective_of_the_code_has_its_name_in_one_place() -> None:
    assert set(grades_in_code()) == set(OBJECTIVES)


def test_the_page_says_when_each_objective_fails_or_withholds_a_pass_and_only_then() -> None:
    code = grades_in_code()
    for objective, says in rows().items():
        for grade, text in says.items():
            assert bool(text) is (grade in code[objective]), (objective, grade)


def test_the_numbers_on_the_page_are_those_of_the_code() -> None:
    seconds = unanswered.OUTAGE_NS // 10**9
    assert f"nothing was answered at the end for over {seconds} s" in PAGE
    assert f"at most {sum(excess.LEVELS.values()) * 100:.0f} of 100 runs" in PAGE
    short, middle, long = (length / 1e9 for length in excess.WINDOWS_NS)
    assert f"bursts of {short:g}, {middle:g} and {long:g} s" in PAGE
    assert (
        f"its lag was over {sending.LAG_LIMIT_NS / 1e6:.0f} ms (p99) in over {load.LAG_SHARE:.0%}".replace(
            "%", " %"
        )
        in PAGE
    )
    assert f"end {load.TAIL_NS // 10**9} s before the load did" in PAGE
    assert WatchGap("Pod", 0, 2 * 10**9 + 1, "", relisted=False).blind
    assert not WatchGap("Pod", 0, 2 * 10**9, "", relisted=False).blind
    assert "nobody watched for over 2 s" in PAGE
    baseline = Scenario.model_validate({"target": {"url": "http://a.example/"}}).max_baseline_failures
    assert f"failed before the trigger ({baseline:.1%})".replace("%", " %") in PAGE
