"""Reads what balancers' access logs say about single requests. Knows nothing of a run but its ids."""
