"""The run directory, written by `write` and read by `read`. It is all that a run and the judge share."""
