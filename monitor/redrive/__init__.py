"""Redrive: dead letters back where they belong. No client library in here; the buses implement `monitor.letters`."""
