"""mlpipe: an event-driven, responsible AutoML platform on Dagster and Kafka."""
