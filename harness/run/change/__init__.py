"""The one change of a run: made, waited for, followed to its end."""
