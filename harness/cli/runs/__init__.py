"""Commands about runs that are over: which there are, what they say, and what to do with them."""
