"""Many scenarios in one night: which, in which order, which at the same time, and each as a process of its own."""
