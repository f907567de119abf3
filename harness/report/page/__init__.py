"""report.html: one file that opens anywhere, without a request to anywhere."""
