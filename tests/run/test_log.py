from __future__ import annotations

from harness.run.log import redacted_command


def test_a_recorded_command_line_holds_no_header_value_body_or_password() -> None:
    command = [
        "/home/me/.venv/bin/zdtest", "run", "https://me:pw@a.example/", "-H", "Authorization: s3cret", "--header", "X: s3cret", "--body", "s3cret",
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


def test_a_trigger_s_command_is_told_without_the_values_that_it_carries() -> None:
    trigger = "command helm upgrade web ./chart --set db.password=s3cret --auth-token s3cret --wait"
    for words in (["--trigger", trigger], [f"--trigger={trigger}"]):
        text = " ".join(redacted_command(["zdtest", "run", *words]))
        assert "s3cret" not in text
        assert "command helm upgrade web ./chart --set db.password=*** --auth-token *** --wait" in text
