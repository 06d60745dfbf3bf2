"""Studies: each a package with its records, its computation, its figures and its words."""
