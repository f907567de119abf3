"""The only reader of YAML. The memory and time that a stranger's file costs are bounded by its size.

A few lines of aliases to aliases can expand to billions of values. So the values that aliases add are counted while
a document is read, before any is constructed. Depth and the length of numbers are bounded too. A date is read as
text, as Kubernetes does.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

MOST_BYTES = 16 << 20  # of one file
MOST_ALIASED = 100_000  # values that aliases may add to a document; real files have some dozens
DEEPEST = 100
_LONGEST_NUMBER = 60
_LETTERS = 100  # characters of a text that count as one more value
_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})


class Loader(yaml.SafeLoader):
    """The safe loader, with bounds. What exceeds them raises MarkedYAMLError, like malformed YAML."""

    yaml_implicit_resolvers = {  # noqa: RUF012  as its parent has it
        letter: [(tag, shape) for tag, shape in known if tag != "tag:yaml.org,2002:timestamp"]
        for letter, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, stream: str | bytes) -> None:
        super().__init__(stream)
        self._depth = 0
        self._aliased = 0
        self._weights: dict[int, int] = {}  # of complete nodes: how many values each expands to

    def compose_document(self) -> yaml.Node | None:
        """Compose one document; the bounds apply to each."""
        self._depth = self._aliased = 0
        self._weights = {}
        found: yaml.Node | None = super().compose_document()
        return found

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node, and count the values that it expands to."""
        event = self.peek_event()  # type: ignore[no-untyped-call]  # as PyYAML has it
        if isinstance(event, yaml.AliasEvent):
            node: yaml.Node | None = super().compose_node(parent, index)
            self._count(node, event)
            return node
        self._depth += 1
        if self._depth > DEEPEST:
            raise yaml.composer.ComposerError(
                None, None, f"it is nested over {DEEPEST} levels deep", event.start_mark
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        self._weights[id(node)] = self._weight(node)
        return node

    def _count(self, node: yaml.Node | None, event: Any) -> None:
        weight = self._weights.get(id(node))
        if weight is None:
            raise yaml.composer.ComposerError(
                None, None, f"the alias {event.anchor!r} contains itself", event.start_mark
            )
        self._aliased += weight
        if self._aliased > MOST_ALIASED:
            raise yaml.composer.ComposerError(
                None, None, f"its aliases stand for over {MOST_ALIASED:,} values", event.start_mark
            )

    def _weight(self, node: yaml.Node | None) -> int:
        if isinstance(node, yaml.MappingNode):
            return 1 + sum(self._weights[id(key)] + self._weights[id(value)] for key, value in node.value)
        if isinstance(node, yaml.SequenceNode):
            return 1 + sum(self._weights[id(value)] for value in node.value)
        return 1 + len(node.value) // _LETTERS if node else 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002  as its parent
        """Construct a value. Whatever error its type raises, the document is malformed."""
        if node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
            raise yaml.constructor.ConstructorError(
                None, None, f"a number has {len(node.value):,} digits", node.start_mark
            )
        try:
            return super().construct_object(node, deep=deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            said = " ".join(str(error).split())[:100]
            raise yaml.constructor.ConstructorError(
                None, None, f"its value cannot be read ({said})", node.start_mark
            ) from None


def load(text: str | bytes) -> Any:
    """Return the one document of a text. Raises yaml.YAMLError."""
    return yaml.load(text, Loader)  # noqa: S506  a safe loader of ours


def load_all(text: str | bytes) -> Iterator[Any]:
    """Yield the documents of a text. Raises yaml.YAMLError."""
    yield from yaml.load_all(text, Loader)


def nodes(text: str | bytes) -> Iterator[yaml.Node]:
    """Yield the documents of a text as nodes, which know their lines. Raises yaml.YAMLError."""
    loader = Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                yield node
    finally:
        loader.dispose()


def problem(error: yaml.YAMLError) -> tuple[int | None, str]:
    """Return the line where a text is malformed (if known), and what is wrong, in one line."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = getattr(error, "problem", None) or getattr(error, "context", None) or str(error)
    return (mark.line + 1 if mark else None), " ".join(str(said).split())


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return a file's bytes. Raises OSError; ValueError, one line, if there are more than `most`."""
    with path.open("rb") as file:
        return read_stream(file, most)


def read_stream(file: BinaryIO, most: int = MOST_BYTES) -> bytes:
    """Return the rest of an open file or pipe. Raises as `read_bytes` does."""
    content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is larger than {most >> 20} MiB, the most that is read")
    return content


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Return the text of a file. Raises OSError; ValueError, one line, if it is too long or not UTF-8."""
    return decoded(read_bytes(path, most))


def decoded(content: bytes) -> str:
    """Return bytes as text, without a byte order mark. Raises ValueError, one line."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None


def is_file(path: Path) -> bool:
    """Whether this is a regular file or a link to one, not a pipe that blocks or a device that never ends."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False
