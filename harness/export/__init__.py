"""A recording for other tools: tables in CSV or Parquet, and a trace that Perfetto opens. Streamed, batch by batch."""
