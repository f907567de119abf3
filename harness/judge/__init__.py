"""From a recording to a verdict: what was lost, when, why, and which manifest line fixes it. Pure but for reading."""
