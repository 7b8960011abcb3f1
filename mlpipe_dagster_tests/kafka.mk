# The suites that speak to Kafka, against an Apache Kafka that is started for them; says so where Java or Maven is missing.
.PHONY: test-kafka
test-kafka: .venv/.development
	$(BIN)/python -m mlpipe_dagster_tests.tools.apache_kafka.run -- $(BIN)/python -m pytest \
		mlpipe_dagster_tests/messaging mlpipe_dagster_tests/defs mlpipe_dagster_tests/end_to_end $(ARGS)
