"""The options for CI systems, monitoring and chat, and the commands about their formats."""
