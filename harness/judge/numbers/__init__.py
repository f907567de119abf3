"""Hits counted and measured: by phase, by pod, by second, and against the baseline."""
