"""From a recording to a verdict: what was lost, when, why, and which manifest line mends it. Pure but for reading."""
