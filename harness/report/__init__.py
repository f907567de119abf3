"""Renders a judgement as text, chat message, picture and JSON. Computes nothing."""

from harness.report.files import write_all

__all__ = ["write_all"]
