"""Recordings on their way to object storage, and back from there or from a pod."""
