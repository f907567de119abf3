"""A finding for each objective: what was observed, and the grade that follows."""
