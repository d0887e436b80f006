"""Is the canary as good as production? Asks Prometheus, compares, and says promote, wait or roll back."""
