"""compare.html: two sides of rollouts in one file that opens anywhere, without a request to anywhere."""
