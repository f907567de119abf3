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
