"""Every series of /metrics, declared; `accounting` counts."""
