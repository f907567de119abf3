from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from harness.clock import Clock
from harness.cluster.client.answers import ApiStatusError
from harness.cluster.client.api import Api
from harness.cluster.client.resources import PODS
from harness.cluster.watching.streaming import watching
from harness.cluster.watching.watches import Watched
from harness.model import ClusterEvent, WatchGap
from tests.cluster.scripted_api import ScriptedApi, change, cut, pod, pods, silence, status, window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def seen(
    folder: Path,
    server: Any,
    enough: Callable[[list[Any]], bool],
    window_s: int = 10,
    user: dict[str, Any] | None = None,
) -> list[ClusterEvent | WatchGap]:
    """Watch pods until `enough`, and return what was seen."""

    async def main() -> list[ClusterEvent | WatchGap]:
        items: list[ClusterEvent | WatchGap] = []
        api = Api.connect(server.kubeconfig(folder, user), None)
        async with watching(api, [Watched(PODS, "Pod", "default")], Clock.start(), window_s) as stream:
            with anyio.fail_after(20):
                async for item in stream:
                    items.append(item)
                    if enough(items):
                        break
        return items

    return anyio.run(main)


def changes(items: list[Any]) -> list[tuple[str, str, bool]]:
    return [(i.change, i.name, i.missed) for i in items if isinstance(i, ClusterEvent)]


def gaps(items: list[Any]) -> list[WatchGap]:
    return [i for i in items if isinstance(i, WatchGap)]


def test_a_window_that_ended_cleanly_is_resumed_without_a_gap(tmp_path: Path) -> None:
    first = window(change("ADDED", pod("b", 11)))
    second = window(change("MODIFIED", pod("a", 12)))
    with ScriptedApi([pods(10, pod("a", 5))], [first, second, window()]) as server:
        items = seen(tmp_path, server, lambda i: len(changes(i)) == 3)
    assert changes(items) == [("LISTED", "a", False), ("ADDED", "b", False), ("MODIFIED", "a", False)]
    assert gaps(items) == []
    assert server.asked[:3] == [("list", ""), ("watch", "10"), ("watch", "11")]


def test_a_bookmark_moves_the_version_on_and_is_no_event(tmp_path: Path) -> None:
    first = window(change("BOOKMARK", {"metadata": {"resourceVersion": "40"}}))
    with ScriptedApi([pods(10)], [first, window(change("ADDED", pod("a", 41))), window()]) as server:
        items = seen(tmp_path, server, lambda i: len(changes(i)) == 1)
    assert ("watch", "40") in server.asked
    assert changes(items) == [("ADDED", "a", False)]


@pytest.mark.parametrize(
    "gone",
    [
        window({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}),
        status(410, "Expired"),
    ],
    ids=["as an event", "as a status"],
)
def test_a_version_too_old_means_a_new_list_whose_news_are_marked_as_missed(
    tmp_path: Path, gone: Any
) -> None:
    lists = [
        pods(10, pod("stays", 5), pod("goes", 6), pod("changes", 7)),
        pods(90, pod("stays", 5), pod("changes", 80), pod("new", 85)),
    ]
    with ScriptedApi(lists, [gone, window()]) as server:
        items = seen(tmp_path, server, lambda i: bool(gaps(i)))
    assert set(changes(items)[3:]) == {
        ("DELETED", "goes", True),
        ("MODIFIED", "changes", True),
        ("ADDED", "new", True),
    }
    assert gaps(items)[0].relisted
    assert gaps(items)[0].blind
    assert "410" in gaps(items)[0].reason


def test_a_connection_cut_in_the_middle_resumes_and_leaves_a_short_gap_that_is_not_blind(
    tmp_path: Path,
) -> None:
    steps = [cut(change("ADDED", pod("a", 11))), window(change("ADDED", pod("b", 12))), window()]
    with ScriptedApi([pods(10)], steps) as server:
        items = seen(tmp_path, server, lambda i: len(changes(i)) == 2)
    assert changes(items) == [("ADDED", "a", False), ("ADDED", "b", False)]
    assert len(gaps(items)) == 1
    assert not gaps(items)[0].blind
    assert ("watch", "11") in server.asked


def test_an_error_of_the_server_is_a_gap_and_the_watch_goes_on(tmp_path: Path) -> None:
    with ScriptedApi(
        [pods(10)], [status(500, "InternalError"), window(change("ADDED", pod("a", 11))), window()]
    ) as server:
        items = seen(tmp_path, server, lambda i: bool(changes(i)))
    assert "500" in gaps(items)[0].reason


def test_a_token_that_ran_out_is_a_gap_with_its_reason_and_the_watch_goes_on(tmp_path: Path) -> None:
    steps = [status(401, "Unauthorized"), window(change("ADDED", pod("a", 11))), window()]
    with ScriptedApi([pods(10)], steps) as server:
        items = seen(tmp_path, server, lambda i: bool(changes(i)))
    assert "401 Unauthorized" in gaps(items)[0].reason
    assert server.asked[1:3] == [("watch", "10"), ("watch", "10")]


def plugin(folder: Path, then: str) -> dict[str, Any]:
    """A credential plugin that prints a token that nobody said would run out: the next one each time, or what `then`
    says.
    """
    program = folder / "plugin"
    program.write_text(f"""#!/bin/sh
n=$(cat {folder}/asked 2>/dev/null || echo 0); n=$((n + 1)); echo $n > {folder}/asked
[ $n -eq 1 ] || {then}
echo '{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", \
"status": {{"token": "token-'$n'"}}}}'
""")
    program.chmod(0o755)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(program),
            "interactiveMode": "Never",
        }
    }


def test_a_token_that_was_revoked_is_fetched_anew_and_the_watch_goes_on_without_a_gap(tmp_path: Path) -> None:
    steps = [status(401, "Unauthorized"), window(change("ADDED", pod("a", 11))), window()]
    with ScriptedApi([pods(10)], steps) as server:
        items = seen(tmp_path, server, lambda i: bool(changes(i)), user=plugin(tmp_path, then="true"))
    assert server.tokens[:3] == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]
    assert gaps(items) == []


def test_a_credential_plugin_that_fails_later_is_named_and_nobody_goes_on_without_a_token(
    tmp_path: Path,
) -> None:
    steps = [status(401, "Unauthorized"), window(change("ADDED", pod("a", 11))), window()]
    with ScriptedApi([pods(10)], steps) as server:
        items = seen(
            tmp_path,
            server,
            lambda i: bool(changes(i)),
            user=plugin(tmp_path, then="{ echo 'login expired' >&2; exit 3; }"),
        )
    assert "exec: process returned 3" in gaps(items)[0].reason
    assert set(server.tokens) == {"Bearer token-1"}


def test_a_server_that_asks_to_wait_is_given_its_time(tmp_path: Path) -> None:
    steps = [status(429, "TooManyRequests", Retry_After="2"), window(change("ADDED", pod("a", 11))), window()]
    with ScriptedApi([pods(10)], steps) as server:
        items = seen(tmp_path, server, lambda i: bool(changes(i)))
    gap = gaps(items)[0]
    assert gap.to_ns - gap.from_ns >= 2_000_000_000
    assert gap.blind


def test_a_connection_whose_other_side_is_gone_is_found_and_the_silence_is_a_blind_gap(
    tmp_path: Path,
) -> None:
    with ScriptedApi([pods(10)], [silence, window(change("ADDED", pod("a", 11))), window()]) as server:
        items = seen(tmp_path, server, lambda i: bool(changes(i)), window_s=1)
    gap = gaps(items)[0]
    assert gap.blind
    assert gap.from_ns < gap.to_ns - 2_000_000_000


def test_a_line_that_is_no_event_is_a_gap_and_not_a_crash(tmp_path: Path) -> None:
    with ScriptedApi(
        [pods(10)], [window(b"<html>\n"), window(change("ADDED", pod("a", 11))), window()]
    ) as server:
        items = seen(tmp_path, server, lambda i: bool(changes(i)))
    assert gaps(items)
    assert changes(items) == [("ADDED", "a", False)]


def test_a_server_that_ends_every_watch_at_once_is_not_asked_in_a_tight_loop(tmp_path: Path) -> None:
    with ScriptedApi([pods(10)], [window(lasting_s=0)]) as server:

        async def main() -> None:
            api = Api.connect(server.kubeconfig(tmp_path), None)
            async with watching(api, [Watched(PODS, "Pod", "default")], Clock.start()):
                await anyio.sleep(1.5)

        anyio.run(main)
        assert 2 <= len(server.asked) < 20


def test_a_server_that_ends_every_watch_at_once_leaves_gaps_in_which_nobody_watched(tmp_path: Path) -> None:
    with ScriptedApi([pods(10)], [window(lasting_s=0)]) as server:
        items = seen(tmp_path, server, lambda i: any(gap.blind for gap in gaps(i)))
        asked = len(server.asked)
    *short, blind = gaps(items)
    assert not blind.relisted
    assert "ended the watch at once" in blind.reason
    assert short, "what is seen after half a second without a watch may be older by as much"
    assert all(gap.to_ns <= after.from_ns for gap, after in pairwise(gaps(items)))
    assert asked < 15, "still no tight loop"


def test_a_server_that_is_slow_to_open_a_watch_leaves_a_gap(tmp_path: Path) -> None:
    def slow(r: Any) -> None:
        time.sleep(2.3)
        window(change("ADDED", pod("a", 11)))(r)

    with ScriptedApi([pods(10)], [slow, window(lasting_s=60)]) as server:
        items = seen(tmp_path, server, lambda i: bool(changes(i)))
    (gap,) = gaps(items)
    assert gap.blind
    assert gap.to_ns <= next(i.t_ns for i in items if isinstance(i, ClusterEvent))


def test_a_run_that_ends_while_nobody_watches_has_that_on_record(tmp_path: Path) -> None:
    def hangs(_: Any) -> None:
        time.sleep(60)

    with ScriptedApi([pods(10)], [hangs]) as server:
        left = after_leaving(tmp_path, server, 2.5)
    assert [gap.blind for gap in gaps(left)] == [True]


def test_a_quiet_watch_that_is_left_was_no_gap(tmp_path: Path) -> None:
    with ScriptedApi([pods(10)], [window(lasting_s=60)]) as server:
        left = after_leaving(tmp_path, server, 2.5)
    assert gaps(left) == []


def after_leaving(folder: Path, server: Any, after_s: float) -> list[ClusterEvent | WatchGap]:
    """Watch for a while without reading, leave, and return all that was seen."""
    items: list[ClusterEvent | WatchGap] = []

    async def main() -> None:
        api = Api.connect(server.kubeconfig(folder), None)
        async with watching(api, [Watched(PODS, "Pod", "default")], Clock.start(), rest=items.append):
            await anyio.sleep(after_s)

    anyio.run(main)
    return items


def test_a_first_list_that_is_forbidden_is_an_error_and_not_an_empty_timeline(tmp_path: Path) -> None:
    with (
        ScriptedApi([status(403, "Forbidden")], [window()]) as server,
        pytest.raises(ApiStatusError, match="Forbidden"),
    ):
        seen(tmp_path, server, lambda _: True)


def test_leaving_does_not_wait_for_a_silent_watch(tmp_path: Path) -> None:
    with ScriptedApi([pods(10, pod("a", 1))], [window(lasting_s=60)]) as server:
        items = seen(tmp_path, server, lambda i: bool(changes(i)))  # fails after 20 s
    assert changes(items) == [("LISTED", "a", False)]
