"""The live dashboard: asks the proxies what they do, keeps it, and serves a page and an API."""
