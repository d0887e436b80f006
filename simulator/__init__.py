"""A fake Z.AI: its surfaces, shapes, limits and faults, for tests, benchmarks and the demo."""
