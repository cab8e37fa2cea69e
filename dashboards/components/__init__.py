"""What pages are made of: rows and words as pure functions, and the few calls that draw them."""
