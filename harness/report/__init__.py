"""From a judgement to paper: text, chat message, picture. Renders, and computes nothing."""

from harness.report.files import write_all

__all__ = ["write_all"]
