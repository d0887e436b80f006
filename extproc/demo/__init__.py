"""`zai-proxy demo`: the proxy in front of a simulated Z.AI, with traffic and a live table."""
