"""Real brokers as local processes: Kafka, RabbitMQ and an AWS stand-in, for the demo and the tests.

stack = Stack(Path(".stack"), Options(kafka_brokers=3))
endpoints = stack.start(print)
stack.freeze("kafka-2")
stack.stop()
"""

from stack.control import ServerStatus, Stack
from stack.errors import StackError
from stack.state import PARTS, Endpoints, Options, RabbitmqEndpoints

__all__ = ["PARTS", "Endpoints", "Options", "RabbitmqEndpoints", "ServerStatus", "Stack", "StackError"]
