"""Everything that is looked at before the load: the target's answers, the workload, the path between them."""
