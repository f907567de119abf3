"""The fields of Kubernetes' kinds: the schema, how lists merge, and which manager owns which field."""
