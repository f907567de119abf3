"""One run: preflight, load, watch, recording, the phases, and when to stop."""
