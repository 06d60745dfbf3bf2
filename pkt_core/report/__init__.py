"""Results turned into figures, tables and pages. Everything here reads the JSON form of a result, so that a stored one can
be drawn without loading a model."""
