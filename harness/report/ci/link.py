"""Addresses: of the CI job that a run is part of, from the variables that each CI system documents. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_ADDRESS = re.compile(r"https?://[^\s<>\"'|]+", re.IGNORECASE)
_USER = re.compile(r"(?<=://)[^/?#]*@")
# One variable holds the whole address: GitLab, Jenkins, Buildkite, CircleCI.
_WHOLE = ("CI_JOB_URL", "BUILD_URL", "BUILDKITE_BUILD_URL", "CIRCLE_BUILD_URL")


def link(given: str | None, environ: Mapping[str, str]) -> str:
    """Return the link to show: the one that was given, else the CI job's, else "". Never with a password."""
    found = given or _from_github(environ) or _from_azure(environ)
    found = found or next((environ[name] for name in _WHOLE if environ.get(name)), "")
    return without_user(found) if _ADDRESS.fullmatch(found) else ""


def without_user(address: str) -> str:
    """Return an address without the user and password in it."""
    return _USER.sub("", address)


def host_of(address: str) -> str:
    """Return an address's host, and port if it has one; "" for what is no http or https address."""
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
        host = parts.hostname or ""
    except ValueError:
        return ""
    return f"{host}{port}" if parts.scheme in {"http", "https"} and host else ""


def _from_github(environ: Mapping[str, str]) -> str:
    """GitHub has the parts. docs.github.com/actions/reference/workflows-and-actions/variables."""
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, number = (environ.get(name, "") for name in names)
    if not (server and repository and number):
        return ""
    attempt = environ.get("GITHUB_RUN_ATTEMPT", "")
    which = f"/attempts/{quote(attempt)}" if attempt and attempt != "1" else ""
    return f"{server}/{quote(repository)}/actions/runs/{quote(number)}{which}"


def _from_azure(environ: Mapping[str, str]) -> str:
    """Azure Pipelines has the parts. learn.microsoft.com/azure/devops/pipelines/build/variables."""
    names = ("SYSTEM_TEAMFOUNDATIONCOLLECTIONURI", "SYSTEM_TEAMPROJECT", "BUILD_BUILDID")
    server, project, number = (environ.get(name, "") for name in names)
    if not (server and project and number):
        return ""
    return f"{server.rstrip('/')}/{quote(project)}/_build/results?buildId={quote(number)}"
