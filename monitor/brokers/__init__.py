"""One folder a bus, all alike: the only importers of the client libraries."""
