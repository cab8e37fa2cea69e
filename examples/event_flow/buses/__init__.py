"""The buses: one module each, the only ones that know its client library."""
