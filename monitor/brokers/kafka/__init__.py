"""Kafka, read with confluent-kafka."""
