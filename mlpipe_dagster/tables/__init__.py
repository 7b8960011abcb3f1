"""Tables: sniff, read, convert, profile, sample. Plain functions over files; nothing of the warehouse or Dagster."""
