"""The four stages as plain functions: Claim in, result stored in the warehouse, StageOutcome out. No Dagster here."""
