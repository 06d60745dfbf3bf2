"""Standard benchmarks, asked through lm-evaluation-harness."""
