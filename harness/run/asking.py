"""Preflight of the target: does it answer, and whom does it name?"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from harness.errors import UsageError
from harness.run.path import POD_HEADERS
from harness.scenario.schema import redact_url

if TYPE_CHECKING:
    from harness.model import Target

ASKED = 3


@dataclass(frozen=True, slots=True)
class Answers:
    """What the target said when it was asked a few times."""

    statuses: tuple[int, ...]
    pods: tuple[str, ...]  # values of pod headers


def ask(target: Target, *, insecure: bool, ca_file: str | None, timeout_s: float) -> Answers:
    """Send the target's own request a few times, before any load.

    Raises UsageError with one line when its host does not resolve, refuses, fails TLS or redirects. An error
    status is no error here: the baseline judges that.
    """
    parts = urlsplit(target.url)
    shown, host = redact_url(target.url), parts.hostname or ""
    try:
        socket.getaddrinfo(
            host, parts.port or (443 if parts.scheme == "https" else 80), type=socket.SOCK_STREAM
        )
    except (socket.gaierror, UnicodeError) as error:
        raise UsageError(
            f"{host} does not resolve ({error.strerror if isinstance(error, OSError) else error}); check the URL {shown}"
        ) from None
    verify: ssl.SSLContext | bool = False if insecure else ssl.create_default_context(cafile=ca_file)
    statuses, pods = [], []
    try:
        # trust_env=False: a proxy in the environment would be what is measured, instead of the target
        with httpx.Client(
            verify=verify, timeout=timeout_s, trust_env=False, follow_redirects=False
        ) as session:
            for _ in range(ASKED):
                answer = session.request(
                    target.method, target.url, headers=list(target.headers), content=target.body or None
                )
                statuses.append(answer.status_code)
                pods += [answer.headers[name] for name in POD_HEADERS if name in answer.headers][:1]
                if answer.is_redirect:
                    where = redact_url(answer.headers.get("location", "?"))
                    raise UsageError(
                        f"{shown} answers {answer.status_code} to {where}; redirects are never followed, so send to that URL"
                    )
    except httpx.ConnectError as error:
        raise UsageError(_why_not(error, shown)) from None
    except httpx.TimeoutException:
        raise UsageError(
            f"{shown} does not answer within {timeout_s:g} s; check the URL, or raise --timeout"
        ) from None
    except httpx.HTTPError as error:
        raise UsageError(
            f"{shown} does not answer: {' '.join(str(error).split()) or type(error).__name__}"
        ) from None
    return Answers(tuple(statuses), tuple(pods))


def _why_not(error: BaseException, shown: str) -> str:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"the certificate of {shown} cannot be verified ({seen.verify_message}); use -k to go on without"
        if isinstance(seen, ssl.SSLError):
            return f"no TLS with {shown} ({seen.reason or seen}); is it http://?"
        if isinstance(seen, ConnectionRefusedError):
            return f"{shown} refuses connections; is it up, and is the port right?"
        seen = seen.__cause__ or seen.__context__
    return f"{shown} cannot be reached: {' '.join(str(error).split())}"
