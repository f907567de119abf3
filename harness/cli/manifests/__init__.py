"""Commands about manifests: what they risk, the patch that fixes them, the rights that a run needs."""
