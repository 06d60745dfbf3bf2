"""What changed, and at what cost?"""
