"""One module a page: fetch, then hand to components."""
