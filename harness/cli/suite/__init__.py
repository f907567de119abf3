"""`zdtest suite`: many scenarios in one night."""
