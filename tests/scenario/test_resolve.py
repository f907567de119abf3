from __future__ import annotations

from pathlib import Path

import pytest

from harness.clock import NS
from harness.errors import UsageError
from harness.scenario.reading import expand, parse_headers, redacted
from harness.scenario.resolve import Request, resolve, shipped
from tests.complaints import complaint

URL = {"target.url": "http://staging.example/", "workload": "web"}


def scenario(folder: Path, text: str) -> Path:
    path = folder / "zdtest.yaml"
    path.write_text(text)
    return path


def refused(request: Request, folder: Path) -> str:
    return complaint(lambda: resolve(request, folder))


def test_without_a_target_the_error_names_every_way_to_give_one(tmp_path: Path) -> None:
    text = refused(Request(), tmp_path)
    for way in ("URL", "--deployment", "-f", "zdtest.yaml", "--lab"):
        assert way in text


def test_the_folder_s_file_is_used_when_nothing_else_is_said(tmp_path: Path) -> None:
    scenario(tmp_path, "target: {url: 'http://a.example/'}\nworkload: web\n")
    resolved = resolve(Request(), tmp_path)
    assert resolved.source == "zdtest.yaml in this folder"
    assert resolved.scenario.workload == ("Deployment", "web")


def test_a_url_on_the_command_line_does_not_read_the_folder_s_file(tmp_path: Path) -> None:
    scenario(tmp_path, "lab: {}\nnamespace: from-the-file\nmanifests: [a.yaml]\nworkload: x\n")
    resolved = resolve(Request(flags=URL), tmp_path)
    assert resolved.source == "the command line"
    assert not resolved.use_lab
    assert resolved.scenario.namespace is None


def test_a_flag_beats_the_file_and_leaves_its_neighbours(tmp_path: Path) -> None:
    path = scenario(
        tmp_path, "target: {url: 'http://a.example/'}\nworkload: web\nload: {concurrency: 7, duration: 30s}\n"
    )
    resolved = resolve(Request(flags={"load.concurrency": 200}, file=path), tmp_path)
    assert resolved.scenario.load.concurrency == 200
    assert resolved.scenario.load.duration == 30 * NS


def test_headers_from_flags_and_file_are_merged(tmp_path: Path) -> None:
    path = scenario(
        tmp_path, "target: {url: 'http://a.example/', headers: {A: '1', B: '2'}}\nworkload: web\n"
    )
    resolved = resolve(Request(flags={"target.headers": {"B": "3"}}, file=path), tmp_path)
    assert resolved.scenario.target.headers == {"A": "1", "B": "3"}


def test_a_folder_stands_for_the_zdtest_yaml_in_it(tmp_path: Path) -> None:
    scenario(tmp_path, "target: {url: 'http://a.example/'}\nworkload: web\n")
    assert resolve(Request(file=tmp_path), Path("/")).scenario.target.url == "http://a.example/"


def test_a_url_without_a_workload_is_refused_unless_no_rollout_is_wanted(tmp_path: Path) -> None:
    flags = {"target.url": "http://a.example/"}
    assert "--no-rollout" in refused(Request(flags=flags), tmp_path)
    assert not resolve(Request(flags=flags, no_rollout=True), tmp_path).rollout_wanted


def test_a_lab_part_starts_the_lab_and_a_context_on_the_command_line_does_not(tmp_path: Path) -> None:
    path = scenario(tmp_path, "lab: {lag: 2s}\nmanifests: [app.yaml]\nworkload: web\n")
    (tmp_path / "app.yaml").write_text("")
    resolved = resolve(Request(file=path), tmp_path)
    assert resolved.use_lab
    assert resolved.lab_plan().lag_ns == 2 * NS
    flags = {"target.url": "http://a.example/", "cluster.context": "staging"}
    assert not resolve(Request(file=path, flags=flags), tmp_path).use_lab


def test_the_lab_with_a_cluster_s_flags_is_a_contradiction(tmp_path: Path) -> None:
    assert "--lab" in refused(Request(lab=True, flags=URL), tmp_path)


def test_the_lab_without_any_file_runs_the_shipped_scenario(tmp_path: Path) -> None:
    resolved = resolve(Request(lab=True), tmp_path)
    assert resolved.use_lab
    assert {Path(path).is_file() for path in resolved.lab_plan().manifests} == {True}


def test_malformed_yaml_is_named_with_file_and_line(tmp_path: Path) -> None:
    path = scenario(tmp_path, "target:\n  url: 'http://a.example/\nworkload: web\n")
    assert refused(Request(file=path), tmp_path).startswith(f"{path}:")


def test_a_wrong_field_is_named_with_file_line_and_field(tmp_path: Path) -> None:
    path = scenario(
        tmp_path,
        "target: {url: 'http://a.example/'}\nworkload: web\nload:\n  concurrency: 200\n  duration: soon\n",
    )
    text = refused(Request(file=path), tmp_path)
    assert text.startswith(f"{path}:5: load.duration:")


def test_an_unknown_field_is_named_with_those_that_exist(tmp_path: Path) -> None:
    path = scenario(tmp_path, "workload: web\nload:\n  conections: 200\n")
    text = refused(Request(file=path), tmp_path)
    assert "load.conections" in text
    assert "concurrency" in text


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ({"load.concurrency": 0}, "--concurrency"),
        ({"load.concurrency": 1_000_000}, "--concurrency"),
        ({"load.duration": "0s"}, "--duration"),
        ({"load.duration": "-3s"}, "--duration"),
        ({"target.timeout": "0s"}, "--timeout"),
        ({"target.expect": "2xx"}, "--expect"),
        ({"target.method": "FETCH"}, "--method"),
        ({"target.url": "ftp://a.example/"}, "URL"),
        ({"target.url": "http://a.example:99999/"}, "URL"),
        ({"target.url": "http:///x"}, "URL"),
        ({"workload": "pod/web"}, "--deployment"),
        ({"max_baseline_failures": 2}, "--max-baseline-failures"),
    ],
)
def test_an_impossible_flag_is_named_by_its_flag(tmp_path: Path, flags: dict[str, object], word: str) -> None:
    assert word in refused(Request(flags=URL | flags), tmp_path)


def test_a_refused_url_does_not_print_its_password(tmp_path: Path) -> None:
    assert "secret" not in refused(
        Request(flags={"target.url": "ftp://me:secret@a.example/", "workload": "web"}), tmp_path
    )


def test_without_a_terminal_context_and_namespace_must_be_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert "-n NAMESPACE" in refused(Request(flags=URL, interactive=False), tmp_path)
    some = URL | {"namespace": "web"}
    assert "--context" in refused(Request(flags=some, interactive=False), tmp_path)
    assert not resolve(
        Request(flags=some | {"cluster.context": "staging"}, interactive=False), tmp_path
    ).use_lab
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert not resolve(Request(flags=some, interactive=False), tmp_path).use_lab


def test_the_trigger_comes_after_a_third_of_the_duration_but_at_most_a_minute(tmp_path: Path) -> None:
    for duration, expected in (("30s", 10), ("3m", 60), ("1h", 60)):
        resolved = resolve(Request(flags=URL | {"load.duration": duration}), tmp_path)
        assert resolved.scenario.trigger_after_ns == expected * NS


def test_a_header_takes_its_value_from_the_environment() -> None:
    assert expand("Bearer ${TOKEN}", "Authorization", {"TOKEN": "t0k"}) == "Bearer t0k"
    with pytest.raises(UsageError, match=r"Authorization.*TOKEN"):
        expand("Bearer ${TOKEN}", "Authorization", {})


def test_a_header_cannot_smuggle_a_second_one() -> None:
    with pytest.raises(UsageError, match="line break"):
        expand("${X}", "A", {"X": "a\r\nB: c"})
    with pytest.raises(UsageError, match="Name: value") as caught:
        parse_headers(["Bearer s3cret"])
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://u:s3cret/x@h/",
        "https://u:s3cret@h:99999/",
        "https://u:s3cret@h/a b",
        "ftp://u:s3cret@h/",
        "https://u:s3cret@[::1/",
        "https://h:s3cret/",
    ],
)
def test_a_url_that_is_refused_is_named_without_its_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(Request(flags=URL | {"target.url": url}), tmp_path)
    assert "URL" in str(caught.value)
    assert "u:" not in str(caught.value)
    if url != "https://h:s3cret/":
        assert "s3cret" not in str(caught.value)


def test_an_unknown_trigger_is_refused_without_quoting_its_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(Request(flags=URL | {"rollout.trigger": "--token=s3cret x"}), tmp_path)
    assert "is not a trigger" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_secrets_do_not_reach_the_recorded_scenario(tmp_path: Path) -> None:
    flags = URL | {
        "target.url": "http://me:pw@a.example/?key=s3cret",
        "target.path": "/?key=s3cret",
        "lab": {"health_check": {"path": "/up?key=s3cret"}},
        "target.headers": {"Authorization": "s3cret"},
        "target.body": "s3cret",
    }
    text = str(redacted(resolve(Request(flags=flags), tmp_path).scenario))
    assert "s3cret" not in text
    assert "me:pw" not in text
    assert "Authorization" in text


def test_a_body_file_is_found_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "body.json").write_bytes(b"{}")
    path = scenario(
        tmp_path, "target: {url: 'http://a.example/', method: POST, body_file: body.json}\nworkload: web\n"
    )
    resolved = resolve(Request(file=path), Path("/"))
    assert resolved.target("http://a.example/").body == b"{}"


def test_a_missing_body_file_or_manifest_is_one_clear_line(tmp_path: Path) -> None:
    path = scenario(tmp_path, "target: {body_file: nope}\nworkload: web\nlab: {}\nmanifests: [gone.yaml]\n")
    resolved = resolve(Request(file=path), tmp_path)
    with pytest.raises(UsageError, match=r"cannot read the body file .*nope"):
        resolved.target("http://a.example/")
    with pytest.raises(UsageError, match=r"no such manifest: .*gone\.yaml"):
        resolved.lab_plan()


def test_every_shipped_scenario_is_valid() -> None:
    files = sorted(shipped().rglob("zdtest.yaml"))
    assert files
    for path in files:
        resolve(Request(file=path), path.parent).lab_plan()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"rollout.rollouts": 0}, "--rollouts: "),
        ({"rollout.rollouts": 2, "rollout.trigger": "scale 5"}, "'scale 5' changes nothing the second time"),
        ({"rollout.rollouts": 2, "rollout.trigger": "delete-pod web-1"}, "changes nothing the second time"),
        (
            {"rollout.rollouts": 60},
            "60 rollouts take over 3000 s with what lies before and after each, and max_time is 2700 s",
        ),
    ],
)
def test_rollouts_that_cannot_be_repeated_or_take_too_long_are_refused(
    tmp_path: Path, flags: dict[str, object], said: str
) -> None:
    request = Request(flags={"target.url": "http://h/", "workload": "deployment/web", **flags})
    with pytest.raises(UsageError) as caught:
        resolve(request, tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_removing_whichever_pod_comes_first_can_be_repeated(tmp_path: Path) -> None:
    request = Request(
        flags={
            "target.url": "http://h/",
            "workload": "deployment/web",
            "rollout.rollouts": 5,
            "rollout.trigger": "delete-pod",
        }
    )
    assert resolve(request, tmp_path).scenario.rollout.rollouts == 5


def test_a_command_s_values_do_not_reach_the_recorded_scenario(tmp_path: Path) -> None:
    flags = {
        "target.url": "http://h/",
        "workload": "deployment/web",
        "rollout.trigger": "command helm upgrade --set a=s3cret",
    }
    text = str(redacted(resolve(Request(flags=flags), tmp_path).scenario))
    assert "s3cret" not in text
    assert "'command helm'" in text


@pytest.mark.parametrize("field", ["load.duration", "rollout.max_time"])
def test_a_run_of_over_a_month_is_refused_before_it_begins(tmp_path: Path, field: str) -> None:
    flags = {"target.url": "http://shop.example/", "workload": "web", field: "721h"}
    assert "30 days at most" in complaint(lambda: resolve(Request(flags=flags), tmp_path))
