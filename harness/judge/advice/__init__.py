"""What to change in the manifest: every field's value, decided once, with its reason."""
