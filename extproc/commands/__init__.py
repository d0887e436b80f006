"""The commands that look at a proxy, and do not run it."""
