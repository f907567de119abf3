"""Files about several runs, checked as those of one are."""
