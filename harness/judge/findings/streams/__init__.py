"""The objectives of streams."""
