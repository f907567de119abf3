"""A run directory: written by `write`, read back by `read`, and the only thing both sides share."""
