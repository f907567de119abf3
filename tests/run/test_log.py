from __future__ import annotations

import pytest

from harness.run.log import redacted_command


def test_a_recorded_command_line_holds_no_header_value_body_or_password() -> None:
    command = [
        "/home/me/.venv/bin/zdtest", "run", "https://me:pw@a.example/", "-H", "Authorization: s3cret",
        "--header", "X: s3cret", "--body", "s3cret",
        "-HA: s3cret", "--header=B: s3cret", "--body=s3cret", "-c", "200",
    ]  # fmt: skip
    text = " ".join(redacted_command(command))
    assert text.startswith("zdtest run")
    assert "s3cret" not in text
    assert "pw" not in text
    assert "Authorization" in text
    assert "-c 200" in text


def test_nor_does_it_where_flags_are_written_in_one_word_or_a_password_holds_an_at_sign() -> None:
    words = [
        "zdtest",
        "run",
        "http://me:s3@cret@a.example/x@y",
        "-kH",
        "Authorization: s3cret",
        "-kHB: s3cret",
        "-c",
        "200",
    ]
    text = " ".join(redacted_command(words))
    assert "cret" not in text
    assert "http://a.example/x@y" in text
    assert "-c 200" in text


@pytest.mark.parametrize(
    "trigger",
    [
        "command helm upgrade web --set db.password=s3cret --auth-token s3cret",
        " command helm --token=s3cret",
        "command  helm -ps3cret",
        "command helm -H 'Authorization: Bearer s3cret' https://u:s3cret@h/",
        "command /opt/s3cret/helm 's3cret'",
        "\tcommand helm s3cret",
    ],
)
def test_of_a_trigger_s_command_only_the_program_is_shown(trigger: str) -> None:
    for words in (["--trigger", trigger], [f"--trigger={trigger}"]):
        shown = redacted_command(["zdtest", "run", *words, "-c", "9"])
        assert "s3cret" not in " ".join(shown)
        assert "command helm" in " ".join(shown)
        assert shown[-2:] == ("-c", "9")


@pytest.mark.parametrize("trigger", ["command A=s3cret x", "kommand s3cret", "command 's3cret"])
def test_a_trigger_that_is_hard_to_read_is_not_shown(trigger: str) -> None:
    assert "s3cret" not in " ".join(redacted_command(["zdtest", "run", "--trigger", trigger]))


@pytest.mark.parametrize(
    "words",
    [
        ["https://h/a?token=s3cret"],
        ["h/a?token=s3cret"],
        ["u:s3cret@h/a"],
        ["s3cret@h"],
        ["-H Authorization: s3cret"],
        ["-kH Authorization : s3cret"],
        ["-H", " A: s3cret"],
        ["-H", "s3cret"],
        ["--header", "s3cret"],
        ["https://h/#s3cret"],
    ],
)
def test_a_secret_leaves_the_command_line_however_it_is_written(words: list[str]) -> None:
    shown = redacted_command(["zdtest", "run", *words, "--settle", "5s"])
    assert "s3cret" not in " ".join(shown)
    assert shown[-2:] == ("--settle", "5s")


@pytest.mark.parametrize(
    "words", [["--webhook", "https://chat.example/s3cret"], ["--webhook=https://chat.example/s3cret"]]
)
def test_a_webhook_is_a_secret(words: list[str]) -> None:
    assert "s3cret" not in " ".join(redacted_command(["zdtest", "run", *words]))
