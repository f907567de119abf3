"""What the judge hands on for pictures: buckets, failed hits as columns, spans. Reports draw it and compute nothing."""
