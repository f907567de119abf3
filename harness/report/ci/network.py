"""Sends one request to a webhook or a Pushgateway. Its errors name the host and nothing else of the address."""

from __future__ import annotations

import anyio
import httpx

from harness.errors import HarnessError

TIMEOUT_S = 10


class NotSentError(HarnessError):
    """It was not taken: one line, without the address, which may be a secret."""


def send(method: str, address: str, body: bytes, content_type: str) -> None:
    """Send a request once, follow no redirect, and read no more of the answer than its head. Raises NotSentError."""
    anyio.run(_send, method, address, body, content_type)


async def _send(method: str, address: str, body: bytes, content_type: str) -> None:
    status = 0
    headers = {"Content-Type": content_type, "User-Agent": "zdtest"}
    try:
        with anyio.fail_after(TIMEOUT_S):
            async with (
                httpx.AsyncClient(timeout=TIMEOUT_S) as client,
                client.stream(method, address, content=body, headers=headers) as response,
            ):
                status = response.status_code
    except (TimeoutError, httpx.TimeoutException):
        raise NotSentError(f"no answer within {TIMEOUT_S} s") from None
    except httpx.ConnectError:
        raise NotSentError("no connection") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        # Its text may hold the address.
        raise NotSentError(type(error).__name__) from None
    if not 200 <= status < 300:
        raise NotSentError(
            f"it answered {status}" + (", and redirects are not followed" if 300 <= status < 400 else "")
        )
