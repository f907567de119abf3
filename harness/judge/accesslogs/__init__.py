"""What balancers' access logs say of single requests: pure, and nothing of a run but its ids."""
