"""Two sides of several rollouts each: is AFTER better or worse than BEFORE, beyond chance? Pure."""
