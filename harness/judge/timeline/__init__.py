"""When what happened: each pod's life on the run's clock, the phases, and what stood around the pods."""
