"""Both models' activations in one picture."""
