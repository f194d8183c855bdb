"""Aura over HTTP: guards, routes, the SSE response, and the process that serves them."""
