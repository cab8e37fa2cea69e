"""The reference flow: Orders and Payment publish, Notification and Inventory consume, on three buses side by side."""
