"""The lab's API server: HTTP, access, bodies, writes, watches and discovery."""
