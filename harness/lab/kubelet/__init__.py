"""The lab's kubelet: each Pod's containers as real processes, with probes, hooks, restarts and addresses."""
