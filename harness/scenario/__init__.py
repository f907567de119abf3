"""What to send, how hard, what to roll out: YAML + flags + environment -> Scenario.

Every message about bad input is made here. A message names the flag, or the file, line and field, that it is
about, and fits on one line.
"""
