"""Makes the chart's Roles of the code that `zdtest rbac` prints them with: python -m tests.deploy.rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.cluster.permission.rbac import role
from harness.scenario.trigger import KINDS, Trigger

FILE = Path(__file__).parents[2] / "deploy" / "chart" / "files" / "rules.json"
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Rollout")
_NAMES = {"patch": "changes the workload", "delete": "deletes pods", "create": "evicts pods"}
_ONLY_LOOKS = "only looks"


def rules(workload: str, trigger: str, *, pods: bool = False) -> list[dict[str, Any]]:
    """Return the rules of a Role; resourceNames hold WORKLOAD in place of the workload's name."""
    found: list[dict[str, Any]] = role("any", workload, "WORKLOAD", Trigger(trigger), pods=pods)[0]["rules"]
    return found


def _change(trigger: str) -> str:
    verbs = {verb for rule in rules("Deployment", trigger) for verb in rule["verbs"]}
    return next((name for verb, name in _NAMES.items() if verb in verbs), _ONLY_LOOKS)


def made() -> str:
    """Return the file: what each trigger does, the rules for each workload and each of that, and what a load
    from pods takes beside them.
    """
    triggers = {trigger: _change(trigger) for trigger in KINDS}
    by_workload = {
        workload: {change: rules(workload, trigger) for trigger, change in triggers.items()}
        for workload in WORKLOADS
    }
    without = rules("Deployment", "restart")
    pods = [rule for rule in rules("Deployment", "restart", pods=True) if rule not in without]
    return json.dumps({"triggers": triggers, "rules": by_workload, "pods": pods}, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(made())
