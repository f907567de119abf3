"""What changes in the cluster: watched, stamped on receipt, and cut down to what a recording may hold."""
