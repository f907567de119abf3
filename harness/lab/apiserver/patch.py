"""The three kinds of patch: merge (RFC 7396), strategic merge, JSON patch (RFC 6902). Pure: new objects come back."""

from __future__ import annotations

import copy
from typing import Any

from harness.lab.objects.status import StatusError, bad_request

# Lists that strategic merge joins by a key; all other lists are replaced. Kubernetes has these as patchMergeKey.
_MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "ports": ("containerPort", "port"),  # of a container; of a Service
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "conditions": ("type",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey",),
    "resourceClaims": ("name",),
    "secrets": ("name",),
}
_MERGED_SETS = {"finalizers"}  # lists of plain values that are joined


def merge(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch: null deletes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def strategic(target: Any, patch: dict[str, Any]) -> dict[str, Any]:
    """Apply a strategic merge patch: as merge, but lists with a known key merge by it; `$`-directives are obeyed."""
    target = target if isinstance(target, dict) else {}
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: copy.deepcopy(value) for key, value in patch.items() if not key.startswith("$")}
    if directive == "delete":
        return {}
    if directive not in {None, "merge"}:
        raise bad_request(f"Unknown patch type found: {directive}")
    result = {k: v for k, v in target.items() if k in patch.get("$retainKeys", target)}
    for key, value in patch.items():
        if not key.startswith("$"):
            _set(result, key, value, patch.get(f"$setElementOrder/{key}"))
    for key, value in patch.items():
        instruction, _, name = key.partition("/")
        if instruction == "$deleteFromPrimitiveList":
            result[name] = [item for item in result.get(name) or [] if item not in value]
        elif instruction == "$setElementOrder" and name not in patch and name in result:
            result[name] = _ordered(name, result[name], value)
    return result


def _set(result: dict[str, Any], key: str, value: Any, order: list[Any] | None) -> None:
    """Apply one field of a strategic merge patch."""
    if value is None:
        result.pop(key, None)
    elif isinstance(value, dict):
        result[key] = strategic(result.get(key), value)
    elif isinstance(value, list):
        result[key] = _list(key, result.get(key) or [], value, order)
    else:
        result[key] = value


def _list(name: str, have: list[Any], patch: list[Any], order: list[Any] | None) -> list[Any]:
    if name in _MERGED_SETS:
        return [*have, *(item for item in patch if item not in have)]
    merge_key = _merge_key(name, [*have, *patch])
    if merge_key is None:
        return copy.deepcopy(patch)
    if any(item.get("$patch") == "replace" for item in patch):
        return [copy.deepcopy(item) for item in patch if item.get("$patch") != "replace"]
    result = list(have)
    for item in patch:
        at = next((n for n, old in enumerate(result) if old.get(merge_key) == item.get(merge_key)), None)
        if item.get("$patch") == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            result.append(strategic({}, item))
        else:
            result[at] = strategic(result[at], item)
    return _ordered(name, result, order) if order else result


def _merge_key(name: str, items: list[Any]) -> str | None:
    """Return the key that joins the items of the list called `name`, or None for a list that is replaced whole."""
    if not all(isinstance(item, dict) for item in items):
        return None
    for key in _MERGE_KEYS.get(name, ()):
        if all(key in item or "$patch" in item for item in items):
            return key
    return None


def _ordered(name: str, items: list[Any], order: list[Any]) -> list[Any]:
    """Put the items that `order` names into its order, the others after them as they stood."""
    key = _merge_key(name, items)
    if key is None:
        return items
    rank = {str(entry.get(key)): n for n, entry in enumerate(order) if isinstance(entry, dict)}
    return sorted(items, key=lambda item: rank.get(str(item.get(key)), len(rank)))


def json_patch(target: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """Apply an RFC 6902 patch. Raises StatusError 422 when a path is absent or a test fails."""
    result: Any = copy.deepcopy(target)
    for operation in operations:
        verb, path = operation.get("op"), _pointer(operation.get("path", ""))
        if verb == "test":
            if _at(result, path) != operation.get("value"):
                raise _refused(f"testing path {operation.get('path')} failed")
        elif verb in {"add", "replace"}:
            if verb == "replace":
                _at(result, path)
            result = _put(result, path, copy.deepcopy(operation.get("value")), insert=verb == "add")
        elif verb == "remove":
            _remove(result, path)
        elif verb in {"move", "copy"}:
            source = _pointer(operation.get("from", ""))
            value = copy.deepcopy(_at(result, source))
            if verb == "move":
                _remove(result, source)
            result = _put(result, path, value, insert=True)
        else:
            raise bad_request(f"Unexpected kind: {verb}")
    if not isinstance(result, dict):
        raise bad_request("the patch left no object")
    return result


def _refused(message: str) -> StatusError:
    return StatusError(
        422, "Invalid", f"the server rejected our request due to an error in our request: {message}"
    )


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise bad_request(f"a JSON pointer begins with /: {text}")
    return [step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:]]


def _at(value: Any, path: list[str]) -> Any:
    for step in path:
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise _refused(f"path /{'/'.join(path)} does not exist") from error
    return value


def _put(root: Any, path: list[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    parent, last = _at(root, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
        return root
    if not isinstance(parent, list) or not (last == "-" or last.isdigit()):
        raise _refused(f"path /{'/'.join(path)} does not exist")
    at = len(parent) if last == "-" else int(last)
    if at > len(parent):
        raise _refused(f"index {at} is out of range")
    parent[at : at + (0 if insert else 1)] = [value]
    return root


def _remove(root: Any, path: list[str]) -> None:
    _at(root, path)
    parent, last = _at(root, path[:-1]), path[-1]
    del parent[int(last) if isinstance(parent, list) else last]
