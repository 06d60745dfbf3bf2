"""Standard benchmarks."""
