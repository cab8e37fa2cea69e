"""Eventflow Monitor: watches Kafka, RabbitMQ and AWS SNS/SQS on one model."""

__version__ = "0.1.0"
