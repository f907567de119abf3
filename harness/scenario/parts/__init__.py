"""Parts of zdtest.yaml that have files of their own."""
