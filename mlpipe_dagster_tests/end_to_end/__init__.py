"""The real services, driven from outside: HTTP and a Kafka client of the tests' own."""
