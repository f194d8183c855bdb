"""The dialects of clients: how a request is read."""
