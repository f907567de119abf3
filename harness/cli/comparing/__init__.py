"""Commands that compare runs, and what makes up a side."""
