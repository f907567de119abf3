"""How a pod is given time to stop: how long its preStop sleeps, and its grace period. Commands are read here, never
run.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.clock import NS

if TYPE_CHECKING:
    from collections.abc import Mapping

_SLEEP = r"sleep\s+(?P<n>\d+(?:\.\d+)?)(?P<unit>[smhd]?)"
_AT_FIRST = re.compile(
    rf"^\s*(?:exec\s+)?(?:/\S*/)?{_SLEEP}\s*(?:$|(?:;|&&|\n)\s*(?P<then>.*))",
    re.DOTALL,
)
_AT_LAST = re.compile(rf"(?:^|[\s/;&]){_SLEEP}\s*;?\s*$")
_UNIT_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}  # as coreutils' sleep has them
_SHELLS = frozenset({"sh", "bash", "ash", "dash"})


def first_sleep_s(hook: Mapping[str, Any]) -> float | None:
    """Return how many seconds a hook sleeps before it does anything else: `sleep.seconds`, or a command that begins
    with `sleep N`.

    None where it begins with something else.
    """
    if "sleep" in hook:
        return _native_s(hook)
    found = _AT_FIRST.match(_script(hook))
    return _seconds(found) if found else None


def last_sleep_ns(hook: Mapping[str, Any]) -> int | None:
    """Return the length of the sleep that a hook ends with, so that it lasts at least as long: `sleep.seconds`, or
    `...; sleep N`.

    None where it ends with something else.
    """
    if "sleep" in hook:
        return round(_native_s(hook) * NS)
    found = _AT_LAST.search(_script(hook))
    return round(_seconds(found) * NS) if found else None


def only_sleeps(hook: Mapping[str, Any]) -> bool:
    """Tell whether a hook does nothing but sleep."""
    found = _AT_FIRST.match(_script(hook))
    return "sleep" in hook or bool(found and not found["then"])


def pre_stop(container: Mapping[str, Any]) -> dict[str, Any]:
    """Return a container's preStop; {} without one."""
    found: dict[str, Any] = (container.get("lifecycle") or {}).get("preStop") or {}
    return found


def stop_signal(container: Mapping[str, Any]) -> str:
    """Return the signal that a container is to be stopped with (lifecycle.stopSignal, KEP-4960); "" where it does not
    say.
    """
    return str((container.get("lifecycle") or {}).get("stopSignal") or "")


def grace_s(pod: Mapping[str, Any]) -> int:
    """Return the grace period of a pod's spec, in seconds: 30 where it does not say (core/v1, PodSpec)."""
    given = pod.get("terminationGracePeriodSeconds")
    return 30 if given is None else int(given)


def _native_s(hook: Mapping[str, Any]) -> float:
    return float((hook["sleep"] or {}).get("seconds") or 0)


def _seconds(found: re.Match[str]) -> float:
    return float(found["n"]) * _UNIT_S[found["unit"]]


def _script(hook: Mapping[str, Any]) -> str:
    """Return what an exec hook runs as one text: the script of a shell's -c, else its words."""
    words = [str(word) for word in (hook.get("exec") or {}).get("command") or ()]
    if len(words) == 3 and words[0].rpartition("/")[2] in _SHELLS and words[1] in {"-c", "-ec"}:
        return words[2]
    return " ".join(words)
