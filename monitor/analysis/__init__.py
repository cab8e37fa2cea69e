"""Pure functions over snapshots: what the numbers mean."""
