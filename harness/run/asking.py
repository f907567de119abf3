"""Preflight of the target: does it answer, and whom does it name?"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from harness.errors import UsageError
from harness.load.dial import tls_context
from harness.scenario.schema import redact_url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.model import LoadPlan, Target

ASKED = 3
_HARMLESS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Answers:
    """What the plan's hosts said when they were asked a few times."""

    statuses: tuple[int, ...]
    pods: tuple[tuple[str, tuple[str, ...]], ...]  # a URL of each host, and the values of pod headers there


def ask(plan: LoadPlan, *, timeout_s: float) -> Answers:
    """Send a request of the plan's own to each of its hosts a few times, before any load.

    Raises UsageError with one line when a host does not resolve, refuses, fails TLS or redirects. An error
    status is no error here: the baseline judges that.
    """
    statuses: list[int] = []
    pods: list[tuple[str, tuple[str, ...]]] = []
    for target in _one_of_each_host(plan.targets):
        codes, named = _ask_one(target, plan, timeout_s)
        statuses += codes
        pods.append((target.url, tuple(named)))
    return Answers(tuple(statuses), tuple(pods))


def _one_of_each_host(targets: Iterable[Target]) -> list[Target]:
    """Choose whom to ask: the first target of each host, one that changes nothing where there is one."""
    found: dict[tuple[str, str], Target] = {}
    for target in targets:
        parts = urlsplit(target.url)
        where = parts.scheme, parts.netloc.rpartition("@")[2].lower()
        held = found.setdefault(where, target)
        if held.method not in _HARMLESS and target.method in _HARMLESS:
            found[where] = target
    return list(found.values())


def _ask_one(target: Target, plan: LoadPlan, timeout_s: float) -> tuple[list[int], list[str]]:
    parts = urlsplit(target.url)
    shown, host = redact_url(target.url), parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    told = next((a for name, at, a in plan.resolve if name in {"*", host} and at == port), None)
    url = httpx.URL(target.url)
    headers = list(target.headers)
    if told:
        headers = [("Host", url.netloc.decode("ascii")), *headers]
        url = url.copy_with(host=told)
    try:
        socket.getaddrinfo(told or host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise UsageError(
            f"{host} does not resolve ({error.strerror if isinstance(error, OSError) else error}); check the URL {shown}"
        ) from None
    statuses: list[int] = []
    pods: list[str] = []
    try:
        # trust_env=False: a proxy in the environment would be what is measured, instead of the target
        with httpx.Client(
            verify=tls_context(plan),
            timeout=timeout_s,
            trust_env=False,
            follow_redirects=False,
            http1=not plan.http2,
            http2=plan.http2,
        ) as session:
            for _ in range(ASKED):
                answer = session.request(
                    target.method,
                    url,
                    headers=headers,
                    content=target.body or None,
                    extensions={"sni_hostname": plan.servername or host},
                )
                statuses.append(answer.status_code)
                pods += [answer.headers[name] for name in plan.pod_headers if name in answer.headers][:1]
                if answer.is_redirect:
                    where = redact_url(answer.headers.get("location", "?"))
                    raise UsageError(
                        f"{shown} answers {answer.status_code} to {where}; redirects are never followed, so send to that URL"
                    )
    except httpx.ConnectError as error:
        raise UsageError(_why_not(error, shown)) from None
    except httpx.TimeoutException:
        raise UsageError(
            f"{shown} does not answer within {timeout_s:g} s{' in HTTP/2' if plan.http2 else ''}; check the URL, or raise --timeout"
            + (", or drop --http2" if plan.http2 else "")
        ) from None
    except httpx.ProtocolError as error:
        why = " ".join(str(error).split()) or type(error).__name__
        spoken = "speaks no HTTP/2 that we understand" if plan.http2 else "does not answer"
        raise UsageError(f"{shown} {spoken}: {why}" + ("; drop --http2" if plan.http2 else "")) from None
    except httpx.HTTPError as error:
        raise UsageError(
            f"{shown} does not answer: {' '.join(str(error).split()) or type(error).__name__}"
        ) from None
    return statuses, pods


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
