"""The judgement of a recording: PASS, FAIL or INCONCLUSIVE, and all that supports it."""
