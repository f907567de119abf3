"""What became of connections that live long: which were cut, how soon they were back, what they missed."""
