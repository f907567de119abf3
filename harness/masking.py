"""What may be written down of text that may hold a secret: URLs, a command's words, other people's sentences. Pure.

Each function keeps what a reader needs to know what was done (hosts, paths, the names of parameters, flags and programs)
and puts *** in place of values. Nothing here can know every secret: a token that is part of a path stays.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HIDDEN = "***"
SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh"})
_SECRET = r"(?:passw|pwd|secret|token|credential|auth|(?:api|access|private|signing|encryption)[_.-]?key)"  # noqa: S105  a pattern

_USER = re.compile(r"(?<=://)[^/?#]*@")  # a password may hold an @: the last one ends it
_USER_WITHOUT_SCHEME = re.compile(r"^[^/?#\s]*@")
_PLACEHOLDER = re.compile(r"\{\w+\}")
_BARE = re.compile(r"[A-Za-z_.$~-]{1,30}")  # a parameter without a value: wsdl, acl
_LONGEST_NAME = 60

_PROGRAM = re.compile(r"[\w./+-]{1,80}")
_SLEEP = re.compile(r"\d+(?:\.\d+)?[smhd]?|infinity")
_LAUNCHERS = frozenset({"exec", "nohup", "setsid", "command", "time"})
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=")
_SHELL_C = re.compile(r"-[a-z]*c")

# Each begins where a word does and is bounded: text of any length is read through once.
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
    rf"(?<![\w.-])([\w.-]{{0,80}}{_SECRET}[\w.-]{{0,80}})(\"?'?\s?=\s?|\"\s?:\s?|:)(\"[^\"]*\"|'[^']*'|[^\s,;&\"'{{}}()]+)", re.IGNORECASE
)  # fmt: skip
_INVALID = re.compile(r"((?:Invalid|Duplicate|Unsupported) value: )(?!\"[^\"\s]{0,64}\"|[\w.+-]+(?::|$))(?:.*(?=: [a-z])|.*)", re.DOTALL)  # fmt: skip
_EXECUTED = re.compile(r"(exec: )\"[^\"]*\"")


def url(text: str) -> str:
    """Take the credentials out of a URL, and the values out of its query; the names of its parameters stay."""
    text = _USER.sub("", text)
    rest, hash_, fragment = text.partition("#")
    path, mark, query = rest.partition("?")
    path = re.sub(r";([^=/;]{1,60})=[^/;]*", rf";\1={HIDDEN}", path)  # ;jsessionid=…
    shown = "&".join(map(_parameter, query.split("&"))) if query else ""
    return f"{path}{mark}{shown}{hash_}{HIDDEN if fragment else ''}"


def typed_url(text: str) -> str:
    """Do the same for a URL as a user may type it, without its scheme."""
    return url(text if "://" in text else _USER_WITHOUT_SCHEME.sub("", text))


def broken_url(text: str) -> str:
    """Do the same for what is no URL: a password with a / in it looks like a path, so all before the last @ goes."""
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
    """Return a container's command, as long as it was: program, the names of flags, and how long a `sleep` lasts.

    Of a shell's script the same is kept of each of its commands.
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
    """Return a container's args where its command is the image's: flags by name, all else hidden.

    Where they begin with a shell and its -c, they are a command of their own.
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
    """Return a shell's script as the programs that it runs one after the other, with the flags of each."""
    if text.count("<<"):  # a document in the script: its lines are no commands
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
    """Yield a script's tokens, each command's arguments hidden."""
    own: list[str] = []
    into_file = False
    for token in tokens:
        if not set(token) <= set(";&|()<>\n"):
            own.append(token)
        elif set(token) & set("<>"):  # what follows is a file, of the same command
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
    """Return a sentence that somebody else wrote (an error, an Event) without what looks like a secret in it."""
    text = urls(text)
    text = _INVALID.sub(rf"\1{HIDDEN}", text)
    text = _EXECUTED.sub(rf'\1"{HIDDEN}"', text)
    text = _HEADER.sub(rf"\1\2{HIDDEN}", text)
    text = _SCHEME.sub(lambda found: f"{found[1] or found[2]} {HIDDEN}", text)
    text = _FLAG.sub(rf"\1\2{HIDDEN}", text)
    return _PAIR.sub(rf"\1\2{HIDDEN}", text)
