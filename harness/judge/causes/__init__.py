"""Why failed hits failed: the table of causes, and which of them fits which hit."""
