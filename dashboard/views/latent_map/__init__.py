"""Both latent spaces in one picture."""
