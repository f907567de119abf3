"""Options that say how the lab's sample app behaves, in place of an app of the user's own."""

from __future__ import annotations

from typing import Any

import click

from harness.errors import UsageError

_Decorator = Any


def app_options(command: _Decorator) -> _Decorator:
    """Add the options about the sample app, and about the balancer in front of it."""
    options = [
        click.option(
            "--startup-time", default="5s", help="Time from a container's start until the app listens.  [5s]"
        ),
        click.option("--warm-up", default="0s", help="Time after that in which the app answers 503.  [0s]"),
        click.option("--request-time", default="50ms", help="Time that a request takes.  [50ms]"),
        click.option(
            "--slow-request", metavar="TIME", help="Time that one request in 200 takes.  [like the others]"
        ),
        click.option(
            "--on-term",
            type=click.Choice(["exit", "drain", "ignore"]),
            default="exit",
            help="What the app does on SIGTERM: exit at once, drain (finish its requests), or ignore it.  [exit]",
        ),
        click.option(
            "--keep-alive",
            metavar="TIME",
            help="Time after which the app closes an idle connection.  [never]",
        ),
        click.option(
            "--profile",
            type=click.Choice(["alb", "nginx", "envoy", "haproxy", "caddy", "apache", "service"]),
            default="alb",
            help="The balancer in front.  [alb]",
        ),
        click.option("--lag", default="2s", help="Time until a change reaches the balancer.  [2s]"),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def environment(options: dict[str, Any]) -> dict[str, str]:
    """Return the sample app's settings."""

    def seconds(option: str) -> float:
        from harness.scenario.values import duration_ns  # noqa: PLC0415

        try:
            return duration_ns(options[option]) / 1e9
        except ValueError as error:
            raise UsageError(f"--{option.replace('_', '-')}: {error}") from None

    env = {
        "STARTUP_DELAY": f"{seconds('startup_time'):g}",
        "WARMUP": f"{seconds('warm_up'):g}",
        "WORK_MS": f"{seconds('request_time') * 1000:g}",
        "ON_TERM": str(options["on_term"]),
    }
    if options["slow_request"]:
        env |= {"SLOW_EVERY": "200", "SLOW_MS": f"{seconds('slow_request') * 1000:g}"}
    if options["keep_alive"]:
        env["KEEPALIVE"] = f"{seconds('keep_alive'):g}"
    return env
