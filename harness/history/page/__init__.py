"""The history of runs as one HTML page: no script, no request, every foreign text escaped."""
