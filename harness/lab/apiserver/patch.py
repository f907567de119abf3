"""The three kinds of patch: JSON merge patch (RFC 7396), strategic merge patch, JSON patch (RFC 6902).

Pure: each returns a new object and leaves the old one as it was.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from harness.k8s import schema
from harness.lab.objects.status import StatusError, bad_request

if TYPE_CHECKING:
    from harness.k8s.schema import Node

Object = dict[str, Any]


def merge(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch: null deletes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def strategic(target: Object, patch: Object) -> Object:
    """Apply a strategic merge patch to a whole object.

    As `merge`, but a list whose field has the patch strategy `merge` is merged by its key, and `$` directives are
    obeyed. Raises StatusError 400, and 500 when an item lacks its key, as a real server does.
    """
    return _object(target, patch, schema.root(target.get("apiVersion", ""), target.get("kind", "")))


def _object(target: Any, patch: Object, node: Node) -> Object:
    """Patch one object, whose fields `node` describes."""
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
            order = patch.get(f"$setElementOrder/{key}")
            _field(result, key, value, schema.field(node, key), order)
    for key, value in patch.items():
        instruction, _, name = key.partition("/")
        if instruction == "$deleteFromPrimitiveList":
            result[name] = [item for item in result.get(name) or [] if item not in value]
        elif instruction == "$setElementOrder" and name not in patch and name in result:
            result[name] = _ordered(result[name], value, schema.merge_key(schema.field(node, name)))
    return result


def _field(result: Object, key: str, value: Any, node: Node, order: list[Any] | None) -> None:
    """Patch one field of an object, in place."""
    if value is None:
        result.pop(key, None)
    elif isinstance(value, dict):
        result[key] = _object(result.get(key), value, node)
    elif isinstance(value, list):
        result[key] = _list(result.get(key) or [], value, node, order)
    else:
        result[key] = value


def _list(have: list[Any], patch: list[Any], node: Node, order: list[Any] | None) -> list[Any]:
    """Patch one list: merged when the schema says so, replaced otherwise."""
    if not schema.merges(node):
        return copy.deepcopy(patch)
    key = schema.merge_key(node)
    if key is None:  # of plain values
        return [*have, *(item for item in patch if item not in have)]
    if any(item.get("$patch") == "replace" for item in patch):
        return [copy.deepcopy(item) for item in patch if item.get("$patch") != "replace"]
    result = list(have)
    for item in patch:
        if key not in item:
            raise StatusError(500, "", f"map: {item} does not contain declared merge key: {key}")
        at = next((n for n, old in enumerate(result) if old.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            result.append(_object({}, item, schema.items(node)))
        else:
            result[at] = _object(result[at], item, schema.items(node))
    return _ordered(result, order, key) if order else result


def _ordered(items: list[Any], order: list[Any], key: str | None) -> list[Any]:
    """Sort the items that `order` names into its order; the others follow as they were."""
    if key is None:
        return items
    rank = {str(entry.get(key)): n for n, entry in enumerate(order) if isinstance(entry, dict)}
    return sorted(items, key=lambda item: rank.get(str(item.get(key)), len(rank)))


def json_patch(target: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """Apply an RFC 6902 patch. Raises StatusError 422 if a path does not exist or a test fails."""
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
        raise bad_request("the result of the patch is not an object")
    return result


def _refused(message: str) -> StatusError:
    return StatusError(
        422, "Invalid", f"the server rejected our request due to an error in our request: {message}"
    )


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise bad_request(f"a JSON pointer must begin with /: {text}")
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
