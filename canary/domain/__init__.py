"""The statistics: numbers in, a verdict out. No clock, no network."""
