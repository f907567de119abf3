"""What the API server stores and serves: the store itself, defaults, validation, statuses and what can be read from a Pod."""
