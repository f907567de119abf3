"""One worker process: its slots, when each of them sends, and on which connection."""
