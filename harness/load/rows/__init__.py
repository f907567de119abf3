"""A worker's rows on their way to disk, and what is counted of them."""
