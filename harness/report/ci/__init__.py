"""Results for CI systems, monitoring and chat: each in the format that they read already."""
