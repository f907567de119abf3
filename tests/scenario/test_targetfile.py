"""Files of requests: vegeta's two formats, zdtest's additions, and one-line errors."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli.options import flags_of
from harness.cli.run import run
from harness.errors import UsageError
from harness.model import Target
from harness.scenario.resolve import Request, resolve
from harness.scenario.targetfile import aimed, read_targets

if TYPE_CHECKING:
    from pathlib import Path

HTTP = """# what a shop is asked for
# weight: 9
GET https://shop.example/items?page=1
Accept: text/html
X-Both: 1
X-Both: 2

POST https://shop.example/cart
Content-Type: application/json
# a comment between two headers
@cart.json
put https://shop.example/notes
@<<END
  two lines,
and # no comment
END
DELETE https://shop.example/cart
GET /health
"""


def file(folder: Path, text: str) -> Path:
    path = folder / "targets.http"
    path.write_text(text)
    return path


def targets(folder: Path, text: str) -> list[Target]:
    return [each.target for each in read_targets(file(folder, text))]


def test_the_http_format_is_read_as_vegeta_reads_it(tmp_path: Path) -> None:
    (tmp_path / "cart.json").write_bytes(b'{"item": 1}')
    shop = "https://shop.example"
    assert targets(tmp_path, HTTP) == [
        Target(
            f"{shop}/items?page=1",
            "GET",
            (("Accept", "text/html"), ("X-Both", "1"), ("X-Both", "2")),
            weight=9,
        ),
        Target(f"{shop}/cart", "POST", (("Content-Type", "application/json"),), b'{"item": 1}'),
        Target(f"{shop}/notes", "PUT", body=b"  two lines,\nand # no comment\n"),
        Target(f"{shop}/cart", "DELETE"),
        Target("/health", "GET"),
    ]


def test_the_json_format_is_an_object_a_line(tmp_path: Path) -> None:
    body = b64encode(b"\x00\xff").decode()
    text = (
        '{"method": "GET", "url": "http://h/a", "header": {"Accept": ["a", "b"]}}\n\n'
        f'{{"method": "POST", "url": "/b", "body": "{body}", "weight": 3}}\n'
    )
    assert targets(tmp_path, text) == [
        Target("http://h/a", "GET", (("Accept", "a"), ("Accept", "b"))),
        Target("/b", "POST", body=b"\x00\xff", weight=3),
    ]


def test_headers_take_values_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    assert targets(tmp_path, "GET http://h/\nAuthorization: Bearer ${TOKEN}\n")[0].headers == (
        ("Authorization", "Bearer s3cret"),
    )


def test_paths_use_the_runs_url_and_its_headers_and_body_as_defaults(tmp_path: Path) -> None:
    text = "GET /a\naccept: mine\nPOST /b\nPOST http://other/c\n@<<E\nown\nE\n"
    listed = read_targets(file(tmp_path, text))
    found = aimed(listed, "http://u:p@h:81/ignored?x", (("Accept", "all"), ("X-All", "1")), b"shared")
    assert found == (
        Target("http://u:p@h:81/a", "GET", (("X-All", "1"), ("accept", "mine"))),
        Target("http://u:p@h:81/b", "POST", (("Accept", "all"), ("X-All", "1")), b"shared"),
        Target("http://other/c", "POST", (("Accept", "all"), ("X-All", "1")), b"own\n"),
    )


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", "", "lists no target"),
        ("GET http://h/\nAuthorization Bearer s3cret\n", ":2:", "not a request line"),
        ("GET http://h/\n\nX-Late: s3cret\n", ":3:", "blank line above"),
        ("FETCH http://h/\n", ":1:", "no such method: FETCH"),
        ("GET ftp://u:s3cret@h/\n", ":1:", "'ftp://h/'"),
        ("GET http://u:s3cret@h:port/\n", ":1:", "is not a URL"),
        ("GET //h/x\n", ":1:", "neither an http://"),
        ("GET http://h/a b\n", ":1:", "neither an http://"),
        ("POST http://h/\n@none.json\n", ":2:", "body file"),
        ("\n@x\n", ":2:", "belongs to no target"),
        ("POST http://h/\n@<<END\nx\n", ":2:", "'END'"),
        ("HEAD http://h/\n@<<E\nx\nE\n", ":1:", "no body"),
        ("# weight: 0\nGET http://h/\n", ":1:", "from 1 to 999"),
        ("GET http://h/\nX: ${UNSET_IN_ANY_TEST}\n", ":2:", "UNSET_IN_ANY_TEST"),
        ("GET http://h/\nX: s3cret€\n", ":2:", "X contains a character"),
        ('{"method": "GET"}\n', ":1:", "url"),
        ('{"method": "GET", "url": "http://h/"}\n{"method"\n', ":2:", "not JSON"),
        ('{"method": "GET", "url": "http://h/", "headers": {}}\n', ":1:", "no such field: headers"),
        ('{"method": "GET", "url": "http://h/", "header": {"A": "s3cret"}}\n', ":1:", "lists of text"),
        ('{"method": "GET", "url": "http://h/", "body": "s3cret!"}\n', ":1:", "base64"),
        ('{"method": "GET", "url": "http://h/", "weight": true}\n', ":1:", "from 1 to 999"),
        ('{"method": "GET", "url": "http://h/"}\n[1]\n', ":2:", "one JSON object"),
        ("GET http://h/\n" * 10_001, "", "10,000"),
        ("# weight: 999\nGET http://h/\n" * 1_002 + "# weight: 998\nGET http://h/\n", "", "add up"),
    ],
)
def test_an_error_is_one_line_that_names_the_place_and_no_secret(
    tmp_path: Path, text: str, line: str, said: str
) -> None:
    path = file(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_targets(path)
    message = str(caught.value)
    assert f"{path}{line}" in message
    assert said in message
    assert "\n" not in message
    assert "s3cret" not in message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the targets file"):
        read_targets(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"GET http://h/\xff\xfe")
    with pytest.raises(UsageError, match="UTF-8"):
        read_targets(tmp_path / "binary")


def asked(folder: Path, text: str, scenario: str = "", **flags: str) -> Request:
    file(folder, text)
    if scenario:
        (folder / "zdtest.yaml").write_text(scenario)
    given = {f"target.{name}": value for name, value in flags.items()}
    if not scenario:
        given["load.targets"] = str(folder / "targets.http")
    return Request(flags=given, no_rollout=True, file=folder if scenario else None)


def test_a_url_is_refused_if_every_target_has_its_own(tmp_path: Path) -> None:
    resolved = resolve(asked(tmp_path, "GET http://b.example/x\nGET /y\n"), tmp_path)
    assert resolved.source == "the command line"
    assert (resolved.url, resolved.name()) == ("http://b.example/x", "b.example")
    assert [target.url for target in resolved.targets(resolved.url)] == [
        "http://b.example/x",
        "http://b.example/y",
    ]


def test_a_scenario_names_its_targets_relative_to_itself(tmp_path: Path) -> None:
    scenario = "target: {url: 'http://a.example/', headers: {A: '1'}}\nload: {targets: targets.http}\n"
    resolved = resolve(asked(tmp_path, "GET /x\nPOST /y\n", scenario=scenario), tmp_path / "elsewhere")
    assert resolved.targets(resolved.url) == (
        Target("http://a.example/x", "GET", (("A", "1"),)),
        Target("http://a.example/y", "POST", (("A", "1"),)),
    )


@pytest.mark.parametrize(
    ("text", "flags", "said"),
    [
        ("GET /x\n", {}, "-f SCENARIO"),
        ("GET http://h/\n", {"url": "http://g/"}, "drop the URL"),
        ("GET http://h/\n", {"method": "GET"}, "drop --method"),
    ],
)
def test_options_that_contradict_targets_are_refused(
    tmp_path: Path, text: str, flags: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        resolve(asked(tmp_path, text, **flags), tmp_path)


def flags_for(*words: str) -> dict[str, Any]:
    options = run.make_context("run", [*words]).params
    return flags_of(options.pop("url"), options)


def test_a_flag_overrides_the_scenarios_requests(tmp_path: Path) -> None:
    file(tmp_path, "POST /x\n")
    (tmp_path / "zdtest.yaml").write_text(
        "target: {url: 'http://a/', method: PUT}\nload: {mix: 'GET:1,HEAD:1'}\n"
    )
    flags = flags_for("--targets", str(tmp_path / "targets.http"))
    resolved = resolve(Request(flags=flags, no_rollout=True, file=tmp_path), tmp_path)
    assert resolved.targets(resolved.url) == (Target("http://a/x", "POST"),)
    (tmp_path / "zdtest.yaml").write_text("target: {url: 'http://a/'}\nload: {targets: targets.http}\n")
    flags = flags_for("--mix", "GET:1,HEAD:1")
    resolved = resolve(Request(flags=flags, no_rollout=True, file=tmp_path), tmp_path)
    assert [target.method for target in resolved.targets(resolved.url)] == ["GET", "HEAD"]


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("target: {url: 'http://a/'}\n", ["--method", "POST", "--mix", "GET:1,HEAD:1"]),
        ("target: {url: 'http://a/'}\nload: {mix: 'GET:1,HEAD:1'}\n", ["--method", "POST"]),
        ("target: {url: 'http://a/', method: POST}\nload: {mix: 'GET:1,HEAD:1'}\n", []),
    ],
)
def test_a_method_beside_a_mix_is_refused(tmp_path: Path, scenario: str, words: list[str]) -> None:
    (tmp_path / "zdtest.yaml").write_text(scenario)
    with pytest.raises(UsageError, match="drop --method or --mix"):
        resolve(Request(flags=flags_for(*words), no_rollout=True, file=tmp_path), tmp_path)


def test_a_mix_on_the_command_line_beats_the_scenarios_method(tmp_path: Path) -> None:
    (tmp_path / "zdtest.yaml").write_text("target: {url: 'http://a/', method: POST}\n")
    request = Request(flags=flags_for("--mix", "GET:1,HEAD:1"), no_rollout=True, file=tmp_path)
    resolved = resolve(request, tmp_path)
    assert [target.method for target in resolved.targets(resolved.url)] == ["GET", "HEAD"]


def test_in_the_lab_targets_are_paths(tmp_path: Path) -> None:
    scenario = "lab: {}\nload: {targets: targets.http}\nmanifests: [a.yaml]\nworkload: web\n"
    resolved = resolve(asked(tmp_path, "GET /x\n", scenario=scenario), tmp_path)
    assert resolved.use_lab
    assert resolved.targets("https://127.0.0.1:7/y")[0].url == "https://127.0.0.1:7/x"
    with pytest.raises(UsageError, match=r"targets\.http:1: the lab has its own address"):
        resolve(asked(tmp_path, "GET http://h/x\n", scenario=scenario), tmp_path)


def test_mix_and_targets_exclude_each_other(tmp_path: Path) -> None:
    scenario = "target: {url: 'http://a/'}\nload: {targets: targets.http, mix: 'GET:1'}\n"
    with pytest.raises(UsageError, match="drop mix"):
        resolve(asked(tmp_path, "GET /x\n", scenario=scenario), tmp_path)
