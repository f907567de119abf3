"""A thin load on many services at once, from one process: what was sent lately can become the start of a recording."""
