"""Schedule, cycles and the store of what they saw."""
