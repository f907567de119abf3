"""What a recording keeps of a container: no values of variables or headers, no arguments of commands. Pure."""

from __future__ import annotations

from typing import Any

from harness import masking

Object = dict[str, Any]

_CONTAINER = (
    "name", "image", "ports", "command", "args", "readinessProbe", "livenessProbe", "startupProbe", "lifecycle",
    "resources", "restartPolicy",
)  # fmt: skip


def container(given: Object, *, names_only: bool) -> Object:
    """Return a container; `names_only`: without what only a template tells, its variables for one."""
    kept = {k: v for k, v in given.items() if k in _CONTAINER} if names_only else dict(given)
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        if kept.get(probe):
            kept[probe] = _action(kept[probe])
    if kept.get("lifecycle"):
        kept["lifecycle"] = {hook: _action(action) for hook, action in kept["lifecycle"].items()}
    kept |= _command(kept)
    if kept.get("env"):
        kept["env"] = [
            {"name": e.get("name"), **({"value": "***"} if "value" in e else {"valueFrom": "***"})}
            for e in kept["env"]
        ]
    return kept


def _command(given: Object) -> Object:
    """Return command and args without the values in them. Together they are one command: `sh -c` may await its
    script.
    """
    command, args = given.get("command"), given.get("args")
    if not command:
        return {"args": masking.arguments(args)} if args else {}
    words = masking.command([*command, *(args or ())])
    return {"command": words[: len(command)], **({"args": words[len(command) :]} if args else {})}


def _action(action: Any) -> Any:
    """Return a probe or a hook without header values, values of a query, and its command's arguments."""
    if not isinstance(action, dict):
        return action
    kept = dict(action)
    if kept.get("httpGet"):
        get = kept["httpGet"] = dict(kept["httpGet"])
        if get.get("path"):
            get["path"] = masking.url(str(get["path"]))
        if get.get("httpHeaders"):
            get["httpHeaders"] = [
                {"name": h.get("name"), "value": masking.HIDDEN} for h in get["httpHeaders"]
            ]
    if (kept.get("exec") or {}).get("command"):
        kept["exec"] = {**kept["exec"], "command": masking.command(kept["exec"]["command"])}
    return kept
