"""A comparison, rendered. Nothing is computed here."""
