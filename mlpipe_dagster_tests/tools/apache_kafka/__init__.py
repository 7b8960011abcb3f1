"""Apache Kafka from its jars: fetched once, started in KRaft mode on loopback for as long as a test needs it."""
