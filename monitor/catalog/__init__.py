"""The event catalog: an AsyncAPI 3 document, its schemas, and what of it is true on the buses."""
