"""The watch: a thin load on many services, always on, and a recording of each deploy that somebody else makes."""
