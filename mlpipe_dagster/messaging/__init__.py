"""Kafka in and out: topics, reader, publisher, dead letters, and the embedded broker."""
