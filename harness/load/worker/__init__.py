"""What one worker process does: its slots, when each sends, and which connection it sends on."""
