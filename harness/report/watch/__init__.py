"""The scoreboard of a watch, as a page."""
