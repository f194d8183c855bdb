"""The dialects of clients: the core's own door, and the table of all that are open."""
