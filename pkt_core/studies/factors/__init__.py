"""What predicts transfer gain?"""
