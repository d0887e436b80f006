"""The HTTP side of the dashboard."""
