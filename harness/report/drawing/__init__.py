"""timeline.png, timeline-dark.png and timeline.svg: one still picture of a run. The only door to matplotlib."""
