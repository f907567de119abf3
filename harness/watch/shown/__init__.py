"""What the watch shows of its recordings: the scoreboard, its page, metrics."""
