"""Five ways to share one plan, and a swarm, on the same load: `python -m bench.pacing`."""
