"""The schema of a suite file: which scenarios one night runs, and what they have in common."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic

from harness.scenario.values import DurationNs, Strict

Name = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=80)]
Fields = dict[str, Any]  # of a scenario, nested as in its file


class Listing(Strict):
    """One line of `scenarios:`. A text alone is its `file`."""

    file: str
    name: Name | None = None
    overrides: Fields = pydantic.Field(default_factory=dict)
    allow: str | None = None
    shares: tuple[str, ...] = ()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _a_text_is_its_file(cls, value: object) -> object:
        return {"file": value} if isinstance(value, str) else value

    @pydantic.field_validator("shares", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class SuiteFile(Strict):
    """A whole suite file."""

    name: Name | None = None
    parallel: Annotated[int, pydantic.Field(ge=1, le=64)] | None = None
    budget: DurationNs | None = None
    run_timeout: DurationNs | None = None
    defaults: Fields = pydantic.Field(default_factory=dict)
    overrides: Fields = pydantic.Field(default_factory=dict)
    scenarios: Annotated[tuple[Listing, ...], pydantic.Field(min_length=1, max_length=10_000)]
