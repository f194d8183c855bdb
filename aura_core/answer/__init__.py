"""One answer on its way: the relay between a plugin's tokens and a client, and what is known when it has ended."""
