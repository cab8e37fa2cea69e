"""Small documents to begin from."""

from typing import Any

from monitor.catalog.loading import make_catalog
from monitor.catalog.model import Catalog
from monitor.catalog.reading import Document

PLAIN = """\
asyncapi: 3.0.0
info: {title: Shop, version: 1.0.0}
servers:
  orders: {host: "127.0.0.1:9092", protocol: kafka}
channels:
  orders:
    address: orders
    messages:
      Ordered.v1: {$ref: "#/components/messages/Ordered.v1"}
operations:
  sendOrders:
    action: send
    x-service: checkout
    channel: {$ref: "#/channels/orders"}
components:
  messages:
    Ordered.v1:
      payload: {$ref: "#/components/schemas/Ordered"}
  schemas:
    Ordered:
      type: object
      required: [id]
      properties:
        id: {type: string}
"""


def read(text: str) -> Catalog:
    return make_catalog(Document(text, "catalog.yml"))


def change(old: str, new: str, text: str = PLAIN) -> str:
    assert old in text
    return text.replace(old, new)


def json_schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}
