"""The parts of summary.txt: the first screen, and the tables below it."""
