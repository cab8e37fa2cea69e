"""RabbitMQ, read over HTTP, or with pika where neither plugin answers."""
