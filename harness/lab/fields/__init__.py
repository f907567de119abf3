"""Which manager owns which field, and what a server-side apply does to it."""
