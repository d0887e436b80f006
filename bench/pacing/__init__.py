"""Ways to share a plan, on the same load, for four plans: `python -m bench.pacing`."""
