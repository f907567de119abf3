"""Turn an exception into an outcome: by the stage it happened in, its type and its errno, never by its text. Pure."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from dataclasses import dataclass

from harness.model import Outcome

# The two words in the row of a closed connection: who closed it, and how.
US, PEER, NETWORK = "us", "peer", "network"
FIN, RESET, TIMEOUT, REFUSED, ERROR, END = "fin", "reset", "timeout", "refused", "error", "end"
UNASKED = "unasked"  # by us, because a response came without a request
GOAWAY = "goaway"  # over HTTP/2: the server had said so before, and which requests it had not processed
LIMIT = "limit"  # by us, because it had reached its limit of hits or of age

# The keep-alive race: the peer closes an idle connection while our request is on its way.
RACE_NS = 5_000_000
RACES = frozenset(
    {
        Outcome.RESET_BEFORE_RESPONSE,
        Outcome.EOF_BEFORE_RESPONSE,
        Outcome.WRITE_RESET,
        Outcome.WRITE_BROKEN_PIPE,
    }
)

FAILED_TO_OPEN = frozenset(
    {
        Outcome.DNS_NXDOMAIN,
        Outcome.DNS_FAIL,
        Outcome.CONNECT_REFUSED,
        Outcome.CONNECT_TIMEOUT,
        Outcome.CONNECT_RESET,
        Outcome.CONNECT_UNREACHABLE,
        Outcome.CONNECT_FAIL,
        Outcome.TLS_HANDSHAKE,
        Outcome.TLS_VERIFY,
        Outcome.TLS_TIMEOUT,
        Outcome.NO_LOCAL_PORT,
        Outcome.NO_DESCRIPTOR,
    }
)

_UNREACHABLE = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.ENONET}
)
_RESET = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ENOTCONN})
_NO_NAME = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})
_TCP_CLOSE = 7
_CONNECT = {
    errno.ECONNREFUSED: Outcome.CONNECT_REFUSED,
    errno.ETIMEDOUT: Outcome.CONNECT_TIMEOUT,
    errno.ECONNRESET: Outcome.CONNECT_RESET,
    errno.ECONNABORTED: Outcome.CONNECT_RESET,
    errno.EADDRNOTAVAIL: Outcome.NO_LOCAL_PORT,
    errno.EMFILE: Outcome.NO_DESCRIPTOR,
    errno.ENFILE: Outcome.NO_DESCRIPTOR,
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended: by whom, and how."""

    by: str
    how: str


def dns(error: BaseException) -> Outcome:
    """Return the outcome of a failed name resolution. A timeout counts as one."""
    known = isinstance(error, socket.gaierror) and error.errno in _NO_NAME
    return Outcome.DNS_NXDOMAIN if known else Outcome.DNS_FAIL


def connect(error: BaseException) -> tuple[Outcome, Ending]:
    """Return the outcome of a failed connect, and how the connection ended."""
    if isinstance(error, TimeoutError) and not error.errno:  # our own timeout, not the kernel's
        return Outcome.CONNECT_TIMEOUT, Ending(US, TIMEOUT)
    number = error.errno if isinstance(error, OSError) else None
    if number in _UNREACHABLE:
        return Outcome.CONNECT_UNREACHABLE, Ending(NETWORK, ERROR)
    outcome = _CONNECT.get(number or 0, Outcome.CONNECT_FAIL)
    ending = {
        Outcome.CONNECT_REFUSED: Ending(PEER, REFUSED),
        Outcome.CONNECT_RESET: Ending(PEER, RESET),
        Outcome.CONNECT_TIMEOUT: Ending(NETWORK, TIMEOUT),
    }.get(outcome, Ending(US, ERROR))
    return outcome, ending


def handshake(error: BaseException) -> tuple[Outcome, Ending]:
    """Return the outcome of a failed TLS handshake, and how the connection ended."""
    if isinstance(error, TimeoutError) and not error.errno:
        return Outcome.TLS_TIMEOUT, Ending(US, TIMEOUT)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Outcome.TLS_VERIFY, Ending(US, ERROR)
    return Outcome.TLS_HANDSHAKE, closed(error)


def closed(error: BaseException | None) -> Ending:
    """Return how an open connection ended; None means that its stream ended in an orderly way."""
    if error is None or isinstance(error, ssl.SSLEOFError):
        return Ending(PEER, FIN)
    if isinstance(error, ssl.SSLError):
        return Ending(PEER, ERROR)
    if isinstance(error, OSError) and error.errno in _RESET:
        return Ending(PEER, RESET)
    if isinstance(error, OSError) and error.errno == errno.ETIMEDOUT:
        return Ending(NETWORK, TIMEOUT)
    return Ending(NETWORK, ERROR)


def lost(error: BaseException | None, *, answered: bool) -> Outcome:
    """Return the outcome of a hit in flight when its connection ended; `answered` if a response byte had come."""
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return Outcome.PROTOCOL_ERROR
    if (
        isinstance(error, OSError) and error.errno == errno.ETIMEDOUT
    ):  # the kernel's timeout was shorter than ours
        return Outcome.READ_TIMEOUT_BODY if answered else Outcome.READ_TIMEOUT_HEADERS
    if closed(error).how == FIN:
        return Outcome.EOF_MID_RESPONSE if answered else Outcome.EOF_BEFORE_RESPONSE
    return Outcome.RESET_MID_RESPONSE if answered else Outcome.RESET_BEFORE_RESPONSE


def unsent(error: BaseException) -> Outcome:
    """Return the outcome of a hit whose request could not be written."""
    broken = isinstance(error, (BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError))
    return Outcome.WRITE_BROKEN_PIPE if broken else Outcome.WRITE_RESET


def unmask(error: OSError | None, sock: socket.socket) -> OSError | None:
    """Return the error that TLS hides: with some versions of Python, the ssl module reports a reset as an end of file.

    The kernel knows. A connection that was reset is closed, and the read has already fetched its error. One that
    was closed in an orderly way waits for our own close; if it was reset since, its error is still to be fetched.
    """
    if not isinstance(error, ssl.SSLEOFError):
        return error
    try:
        state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        pending = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    except OSError:
        return error
    if state == _TCP_CLOSE and not pending:
        return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    return error


_PLACES = re.compile(r"\[?(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*)\]?(?::\d+)?")


def sample(error: BaseException) -> str:
    """Return the raw text of an error, on one line and without addresses."""
    if isinstance(error, OSError) and error.errno and not isinstance(error, (ssl.SSLError, socket.gaierror)):
        return f"{type(error).__name__}({error.errno}, {os.strerror(error.errno)!r})"
    return " ".join(_PLACES.sub("ADDRESS", repr(error)).split())[:300]


def reason(error: BaseException) -> str:
    """Return the text of an error to put into a sentence: without type names and numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, TimeoutError) and not error.errno:
        return "timed out"
    text = error.strerror if isinstance(error, OSError) else None
    return " ".join((text or str(error) or type(error).__name__).split())
