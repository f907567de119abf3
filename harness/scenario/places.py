"""Where in a file a field of a Kubernetes object stands: the line to change, or to show. Pure.

A path is written as in causes, advice and lint: `spec.template.spec.containers[web].readinessProbe`, where brackets
hold an item's name or number. What a manifest does not have is placed at its nearest parent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from harness.scenario import yamltext

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAP = "tag:yaml.org,2002:map"
_MERGE = "tag:yaml.org,2002:merge"
_STEP = re.compile(r"([^.\[\]]+)(?:\[([^\]]*)\])?\.?")
# "Service web spec.sessionAffinity" is a place in another object; "Service spec.x" in the only Service there is.
_OTHER = re.compile(r"([A-Z][A-Za-z]+) (?:(?!spec\.)(\S+))?(?:\s*(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        """As compilers write it, and editors open it."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """One object as it is written in a file."""

    file: str
    kind: str
    name: str
    namespace: str
    node: yaml.MappingNode

    def place(self, path: str = "") -> Place:
        """Return the line of a field, else of its nearest parent, else of the object's name."""
        found = _walk(self.node, path) or _annotation(self.node, path)
        found = found or _walk(self.node, "metadata.name") or _walk(self.node, "kind") or self.node
        return Place(self.file, found.start_mark.line + 1)


def written(text: str, file: str) -> Iterator[Written]:
    """Yield each object of a text, the items of Lists among them. Raises yaml.YAMLError."""
    for document in yamltext.nodes(text):
        items: Sequence[yaml.Node] = [document]
        if _text(_value(document, "kind")).endswith("List"):
            listed = _value(document, "items")
            items = listed.value if isinstance(listed, yaml.SequenceNode) else []
        for item in items:
            if isinstance(item, yaml.MappingNode) and item.tag == _MAP:
                about = _value(item, "metadata")
                yield Written(
                    file=file,
                    kind=_text(_value(item, "kind")),
                    name=_text(_value(about, "name")),
                    namespace=_text(_value(about, "namespace")),
                    node=item,
                )


def find(
    objects: Sequence[Written], kind: str, name: str, path: str, *, namespace: str = "", beside: str = ""
) -> Place | None:
    """Return where a field of an object stands; None if no file has the object.

    A path may lead to another object ("Service web spec.ports"). If several objects have the name, one of the
    namespace is taken, then one in the file `beside`, then the first.
    """
    other = _OTHER.fullmatch(path)
    if other:
        found = _named(objects, other[1], other[2] or "", namespace, beside)
        if found:
            return found.place(other[3] or "")
        path = ""
    found = _named(objects, kind, name, namespace, beside)
    return found.place(path) if found else None


def _named(objects: Sequence[Written], kind: str, name: str, namespace: str, beside: str) -> Written | None:
    fitting = [one for one in objects if one.kind == kind and (not name or one.name == name)]
    if not name and len({one.name for one in fitting}) > 1:  # which of them is not said
        return None
    ranked = sorted(fitting, key=lambda one: (one.namespace != namespace, one.file != beside))
    return ranked[0] if ranked else None


def _walk(node: yaml.Node, path: str) -> yaml.Node | None:
    """Follow a path as far as it goes; return the node of the last step that is there, its key where it has one."""
    last: yaml.Node | None = None
    at: yaml.Node | None = node
    for step in _STEP.finditer(path):
        key, inner = _entry(at, step[1])
        if key is None:
            break
        last, at = key, inner
        if step[2] is not None:
            at = _item(inner, step[2])
            if at is None:
                break
            last = at
    return last


def _entry(node: yaml.Node | None, name: str) -> tuple[yaml.Node | None, yaml.Node | None]:
    """Return key and value; of a list, those of the first item that has them."""
    if isinstance(node, yaml.SequenceNode):
        entries = (_entry(item, name) for item in node.value if isinstance(item, yaml.MappingNode))
        return next((found for found in entries if found[0] is not None), (None, None))
    if not isinstance(node, yaml.MappingNode):
        return None, None
    merged: list[yaml.Node] = []
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value == name:
            return key, value
        if key.tag == _MERGE:
            merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
    within = (_entry(inner, name) for inner in merged if isinstance(inner, yaml.MappingNode))
    return next((found for found in within if found[0] is not None), (None, None))


def _item(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.SequenceNode):
        return None
    for item in node.value:
        if _text(_value(item, "name")) == name:
            found: yaml.Node = item
            return found
    if name.isdigit() and int(name[:9]) < len(node.value):
        numbered: yaml.Node = node.value[int(name[:9])]
        return numbered
    return node.value[0] if name == "?" and node.value else None


def _annotation(node: yaml.MappingNode, word: str) -> yaml.Node | None:
    """Return the annotation that has this word in its name or value: some settings of balancers stand there."""
    notes = _value(_value(node, "metadata"), "annotations")
    if word and isinstance(notes, yaml.MappingNode):
        for key, value in notes.value:
            if word in _text(key) or word in _text(value):
                found: yaml.Node = key
                return found
    return None


def _value(node: yaml.Node | None, name: str) -> yaml.Node | None:
    return _entry(node, name)[1] if isinstance(node, yaml.MappingNode) else None


def _text(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""
