"""The whole judgement of a recording, and the one word that it comes to."""
