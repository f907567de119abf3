"""Masks secrets in text that is to be written: URLs, a command's words, messages from elsewhere. Pure.

Each function keeps what a reader needs (hosts, paths, the names of parameters, flags and programs) and replaces values
by ***. It cannot recognise every secret: a token that is part of a path stays.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HIDDEN = "***"
SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh"})
_SECRET = r"(?:passw|pwd|secret|token|credential|auth|(?:api|access|private|signing|encryption)[_.-]?key)"  # noqa: S105

_USER = re.compile(r"(?<=://)[^/?#]*@")  # a password may contain @: the last one ends it
_USER_WITHOUT_SCHEME = re.compile(r"^[^/?#\s]*@")
_PLACEHOLDER = re.compile(r"\{\w+\}")
_BARE = re.compile(r"[A-Za-z_.$~-]{1,30}")  # a parameter without a value: wsdl, acl
_LONGEST_NAME = 60

_PROGRAM = re.compile(r"[\w./+-]{1,80}")
_SLEEP = re.compile(r"\d+(?:\.\d+)?[smhd]?|infinity")
_LAUNCHERS = frozenset({"exec", "nohup", "setsid", "command", "time"})
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=")
_SHELL_C = re.compile(r"-[a-z]*c")

# Each begins at the start of a word and is bounded, so that long text takes linear time.
_ANY_URL = re.compile(r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s\"'<>`]+")
_HEADER = re.compile(
    rf"\b((?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]{{0,40}}{_SECRET}[\w-]{{0,40}})(\s*[:=]\s*)[^\"'\n]+",
    re.IGNORECASE
)  # fmt: skip
_SCHEME = re.compile(
    r"\b([Bb]earer|BEARER)\s+[^\s\"',;]+|\b(Basic)\s+(?=[A-Za-z0-9+/]*[0-9=])[A-Za-z0-9+/=]+"
)
_FLAG = re.compile(
    rf"(?<![\w-])(--?[\w.-]{{0,60}}{_SECRET}[\w.-]{{0,60}})([ =]+)(\"[^\"]*\"|'[^']*'|[^\s\"']+)",
    re.IGNORECASE,
)
_PAIR = re.compile(
    rf"(?<![\w.-])([\w.-]{{0,80}}{_SECRET}[\w.-]{{0,80}})(\"?'?\s?=\s?|\"\s?:\s?|:)"
    r"(\"[^\"]*\"|'[^']*'|[^\s,;&\"'{}()]+)",
    re.IGNORECASE,
)
_INVALID = re.compile(
    r"((?:Invalid|Duplicate|Unsupported) value: )"
    r"(?!\"[^\"\s]{0,64}\"|[\w.+-]+(?::|$))(?:.*(?=: [a-z])|.*)",
    re.DOTALL,
)
_EXECUTED = re.compile(r"(exec: )\"[^\"]*\"")


def url(text: str) -> str:
    """Mask a URL's credentials and the values in its query; names of parameters stay."""
    text = _USER.sub("", text)
    rest, hash_, fragment = text.partition("#")
    path, mark, query = rest.partition("?")
    path = re.sub(r";([^=/;]{1,60})=[^/;]*", rf";\1={HIDDEN}", path)  # ;jsessionid=…
    shown = "&".join(map(_parameter, query.split("&"))) if query else ""
    return f"{path}{mark}{shown}{hash_}{HIDDEN if fragment else ''}"


def typed_url(text: str) -> str:
    """Do the same for a URL as users type it, possibly without a scheme."""
    return url(text if "://" in text else _USER_WITHOUT_SCHEME.sub("", text))


def broken_url(text: str) -> str:
    """Do the same for text that is not a valid URL. A password may contain a /, so all before the last @ goes."""
    return url(re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*:/*)?[^?#]*@", r"\1", text))


def _parameter(part: str) -> str:
    name, equals, value = part.partition("=")
    if not equals:
        return part if not part or _BARE.fullmatch(part) else HIDDEN
    shown = name if len(name) <= _LONGEST_NAME else HIDDEN
    return f"{shown}={value if not value or _PLACEHOLDER.fullmatch(value) else HIDDEN}"


def program(words: Sequence[str]) -> str:
    """Return the name of the program that a command runs, without its folder."""
    name = words[0].rpartition("/")[2] if words else ""
    return name if _PROGRAM.fullmatch(name) else HIDDEN


def command(words: Iterable[object]) -> list[str]:
    """Return a container's command, word for word: the program, names of flags, and the time of a `sleep` stay.

    In a shell's script the same is kept of each command.
    """
    given = [str(word) for word in words]
    if not given:
        return []
    name = given[0].rpartition("/")[2]
    shown = [given[0] if _PROGRAM.fullmatch(given[0]) else HIDDEN]
    if name in SHELLS and len(given) > 2 and _SHELL_C.fullmatch(given[1]):
        return [*shown, given[1], script(given[2]), *([HIDDEN] * (len(given) - 3))]
    return [*shown, *_arguments(name, given[1:])]


def arguments(words: Iterable[object]) -> list[str]:
    """Return a container's args if it has no command of its own: names of flags, all else masked.

    Args that begin with a shell and -c are masked like a command.
    """
    given = [str(word) for word in words]
    if len(given) > 2 and given[0].rpartition("/")[2] in SHELLS and _SHELL_C.fullmatch(given[1]):
        return command(given)
    return _arguments("", given)


def _arguments(name: str, words: Sequence[str]) -> list[str]:
    if name == "sleep" and all(map(_SLEEP.fullmatch, words)):
        return list(words)
    return [_argument(word) for word in words]


def _argument(word: str) -> str:
    if word.startswith("--"):
        flag, equals, _ = word.partition("=")
        if not re.fullmatch(r"--[A-Za-z0-9_.-]{0,60}", flag):
            return HIDDEN
        return f"{flag}={HIDDEN}" if equals else flag
    if word.startswith("-") and len(word) > 1:  # -p, and -pSECRET
        flag = word[:2] if word[1].isalpha() else "-"
        return word if len(word) <= 2 else f"{flag}{HIDDEN}"
    key, equals, _ = word.partition("=")
    if equals and re.fullmatch(r"[A-Za-z_][\w.-]{0,60}", key):
        return f"{key}={HIDDEN}"
    return HIDDEN


def script(text: str) -> str:
    """Return a shell's script as its programs, one after the other, with the flags of each."""
    if text.count("<<"):  # a here-document: its lines are not commands
        text, rest = text.split("<<", 1)[0], f" {HIDDEN}"
    else:
        rest = ""
    lexer = shlex.shlex(text, posix=False, punctuation_chars=";&|()<>\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    try:
        tokens = list(lexer)
    except ValueError:
        return HIDDEN
    return " ".join(_commands(tokens)).replace("\n ", "\n").replace(" ;", ";") + rest


def _commands(tokens: Iterable[str]) -> Iterable[str]:
    """Yield a script's tokens, with each command's arguments masked."""
    own: list[str] = []
    into_file = False
    for token in tokens:
        if not set(token) <= set(";&|()<>\n"):
            own.append(token)
        elif set(token) & set("<>"):  # a file follows; the command goes on
            yield from _simple(own, goes_on=into_file)
            yield token
            own, into_file = [], True
        else:
            yield from _simple(own, goes_on=into_file)
            yield token
            own, into_file = [], False
    yield from _simple(own, goes_on=into_file)


def _simple(words: Sequence[str], *, goes_on: bool) -> list[str]:
    shown: list[str] = []
    rest = list(words)
    if goes_on:
        return [HIDDEN] * len(rest)
    while rest and (rest[0] in _LAUNCHERS or _ASSIGNMENT.match(rest[0])):
        word = rest.pop(0)
        found = _ASSIGNMENT.match(word)
        shown.append(f"{found[1]}={HIDDEN}" if found else word)
    return [*shown, *command(rest)]


def urls(text: str) -> str:
    """Return text with all URLs in it as `url` leaves them."""
    return _ANY_URL.sub(lambda found: url(found[0]), text) if "://" in text else text


def prose(text: str) -> str:
    """Return a message from elsewhere (an error, an Event) with whatever looks like a secret masked."""
    text = urls(text)
    text = _INVALID.sub(rf"\1{HIDDEN}", text)
    text = _EXECUTED.sub(rf'\1"{HIDDEN}"', text)
    text = _HEADER.sub(rf"\1\2{HIDDEN}", text)
    text = _SCHEME.sub(lambda found: f"{found[1] or found[2]} {HIDDEN}", text)
    text = _FLAG.sub(rf"\1\2{HIDDEN}", text)
    return _PAIR.sub(rf"\1\2{HIDDEN}", text)
