"""The API server: its address, our credentials, what is asked and what it answers."""
