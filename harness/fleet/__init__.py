"""A load that is sent from many pods and recorded in one place, as if one machine had sent it."""
