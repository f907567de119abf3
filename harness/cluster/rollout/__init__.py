"""How far a rollout is, where it leads, why it is stuck, what it costs. Pure."""
