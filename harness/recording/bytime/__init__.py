"""The hits of a recording by time: where each column of each batch lies, and reading a stretch of the run."""
