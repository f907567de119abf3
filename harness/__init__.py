"""zdtest: hold a load on a service while a Kubernetes rollout happens, and judge what was lost, and why."""

__version__ = "0.6.0"
