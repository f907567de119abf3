"""The watch file says which services are watched; what is wrong with it is one line with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import UsageError
from harness.watch.file import read
from harness.watch.service import Rates, Where, resolved

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, text: str) -> Path:
    file = folder / "watch.yaml"
    file.write_text(text)
    return file


def test_defaults_are_overridden_part_by_part(tmp_path: Path) -> None:
    namespace, (web, queue) = read(
        write(
            tmp_path,
            """
namespace: staging
defaults:
  rate: 3
  target: {headers: {X-Watch: "1"}, timeout: 5s}
services:
  - {workload: web, url: http://web.test/}
  - {workload: statefulset/queue, url: http://queue.test/, boost: 20, target: {timeout: 9s}}
""",
        ),
        Rates(),
    )
    assert (namespace, web.key, queue.key) == ("staging", "deployment/web", "statefulset/queue")
    assert (web.rates, queue.rates) == (Rates(3, None), Rates(3, 20))
    run = resolved(queue, Where("staging", tmp_path))
    assert run.scenario.target.timeout == 9_000_000_000
    assert run.scenario.target.headers == {"X-Watch": "1"}
    assert (run.url, run.scenario.rollout.trigger, run.scenario.load.rate) == (
        "http://queue.test/",
        "observe",
        3,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("service: []", ":1: service: no such field; use one of defaults, namespace, services"),
        ("services: []", ":1: services: must be a list of 1 to 500 services"),
        ("services:\n  - web", ":2: a service needs workload: KIND/NAME, and url:"),
        ("services:\n  - {workload: pod/web, url: http://a/}", ":2: "),
        (
            "services:\n  - {workload: web, url: http://a/, rate: 0.1}",
            ":2: rate: must be a number of requests per",
        ),
        (
            "services:\n  - {workload: web, url: http://a/, lab: {}}",
            ":2: lab: has no meaning in a watch file",
        ),
        (
            "services:\n  - {workload: web, url: ws://a/}",
            ":2: url: a watch holds no streams; give an http:// URL",
        ),
        (
            "services:\n  - {workload: web, url: http://a/, stream: {}}",
            ":2: stream: a watch holds no streams; give",
        ),
        ("services:\n  - {workload: web}\n  - {workload: web}", ":3: deployment/web is there twice"),
        ("services: [", ": malformed YAML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(write(tmp_path, text), Rates())
    assert str(caught.value).startswith(str(tmp_path / "watch.yaml"))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_service_without_a_url_is_told_so(tmp_path: Path) -> None:
    _, (web,) = read(write(tmp_path, "services: [{workload: web}]"), Rates())
    with pytest.raises(UsageError, match="deployment/web has no URL; add url: to it"):
        resolved(web, Where("staging", tmp_path))


def test_a_service_of_grpc_is_told_that_a_watch_sends_http(tmp_path: Path) -> None:
    _, (web,) = read(write(tmp_path, "services: [{workload: web, url: grpc://h:1/shop.Till/Buy}]"), Rates())
    with pytest.raises(UsageError, match="deployment/web: a watch sends HTTP requests"):
        resolved(web, Where("staging", tmp_path))


def test_a_service_in_trouble_is_asked_less_often_and_a_recovered_one_as_before() -> None:
    rates = Rates(8)
    assert rates.eased(8, 10, done=80, failed=0) == 8
    assert rates.eased(8, 10, done=80, failed=41) == 4
    assert rates.eased(8, 10, done=30, failed=0) == 4  # it does not keep up
    assert rates.eased(1, 10, done=10, failed=10) == 1  # less would look like the end of the load
    assert rates.eased(4, 10, done=40, failed=0) == 8
    assert rates.eased(8, 10, done=80, failed=40) == 8
