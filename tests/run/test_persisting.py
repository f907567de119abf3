"""A change that was not made is tried again; one whose answer was lost is looked for first."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest

from harness.clock import NS
from harness.cluster.client.answers import ApiStatusError, ApiUnreachableError
from harness.cluster.trigger import restart_patch, was_made
from harness.run.change import persisting
from harness.run.change.persisting import Sent, UnknownError, send
from harness.scenario.trigger import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.run.change.tools import Tools

REFUSED = ApiUnreachableError("connection refused", unsent=True)
LOST = ApiUnreachableError("no answer")


class Ticking:
    """A clock that a second passes on whenever it is read."""

    def __init__(self) -> None:
        self.t_ns = 0

    def now_ns(self) -> int:
        self.t_ns += NS
        return self.t_ns


def script(*steps: Any) -> tuple[Callable[[], Any], list[Any]]:
    """A call that does one step after the other, the last one for ever; and what it has done."""
    left, done = list(steps), list[Any]()

    def call() -> Any:
        step = left.pop(0) if len(left) > 1 else left[0]
        done.append(step)
        if isinstance(step, Exception):
            raise step
        return step

    return call, done


def sent(once: Callable[[], Any], found: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> Sent[Any]:
    monkeypatch.setattr(persisting, "EVERY_S", 0)
    log = SimpleNamespace(note=lambda _: None)
    tools = SimpleNamespace(
        clock=Ticking(), log=log, say=lambda _: None, dry_run=False, interrupted=lambda: False
    )
    return anyio.run(send, cast("Tools", tools), once, found)


def test_what_was_certainly_not_sent_is_tried_again_and_counts_from_when_it_went_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    once, tried = script(REFUSED, REFUSED, "done")
    found, looked = script(None)
    result = sent(once, found, monkeypatch)
    assert (result.answer, len(tried), looked) == ("done", 3, [])
    assert result.sent_ns > 3 * NS


def test_what_was_not_sent_in_30_s_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    once, tried = script(REFUSED)
    with pytest.raises(ApiUnreachableError):
        sent(once, script(None)[0], monkeypatch)
    assert 10 < len(tried) <= 31


def test_a_change_whose_answer_was_lost_is_not_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    once, tried = script(LOST, "twice")
    result = sent(once, script(REFUSED, "made")[0], monkeypatch)
    assert (result.answer, len(tried)) == ("made", 1)
    assert result.sent_ns == 2 * NS, "when it was sent, not when it was found"


def test_a_change_that_was_lost_on_its_way_is_made_after_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    once, tried = script(LOST, "made now")
    found, looked = script(None)
    assert sent(once, found, monkeypatch).answer == "made now"
    assert (len(tried), len(looked)) == (2, 1)


def test_where_nobody_can_say_whether_it_was_made_the_watch_has_to_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    once, tried = script(LOST)
    with pytest.raises(UnknownError) as caught:
        sent(once, script(REFUSED)[0], monkeypatch)
    assert (caught.value.sent_ns, len(tried)) == (2 * NS, 1)


def test_a_refusal_by_the_server_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    once, tried = script(ApiStatusError(403, "Forbidden", "no"))
    with pytest.raises(ApiStatusError):
        sent(once, script(None)[0], monkeypatch)
    assert len(tried) == 1


def workload(image: str = "a", replicas: int = 2, **annotations: Any) -> dict[str, Any]:
    containers = [{"name": "side", "image": "s"}, {"name": "web", "image": image}]
    template = {"metadata": {"annotations": annotations}, "spec": {"containers": containers}}
    return {"spec": {"replicas": replicas, "template": template}}


def test_a_change_is_recognised_by_what_it_wanted() -> None:
    restart = restart_patch(datetime.now(UTC))
    ours: dict[str, Any] = restart["spec"]["template"]["metadata"]["annotations"]
    assert was_made(parse("restart"), restart, workload(), workload(**ours))
    theirs: dict[str, Any] = dict.fromkeys(ours, "2026-11-25T14:00:00Z")
    assert not was_made(parse("restart"), restart, workload(), workload(**theirs)), "somebody else's restart"
    image = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "b"}]}}}}
    assert was_made(parse("set-image web=b"), image, workload(), workload("b"))
    assert not was_made(parse("set-image web=b"), image, workload(), workload("a"))
    size: dict[str, Any] = {"spec": {"replicas": 3}}
    assert was_made(parse("scale 3"), size, workload(), workload(replicas=3))
    assert not was_made(parse("scale 3"), size, workload(), workload())
    assert was_made(parse("apply new.yaml"), {}, workload(), workload("b"))
    assert not was_made(parse("apply new.yaml"), {}, workload(), workload())
