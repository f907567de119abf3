"""One run: preflight, load, cluster, recording; the phases marked; and what stops it."""
