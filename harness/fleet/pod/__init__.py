"""What runs in each pod: the load's own workers, and one process that follows their files and sends them back."""
