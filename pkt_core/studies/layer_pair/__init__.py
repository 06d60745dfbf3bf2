"""How alike are prompts at one pair of layers?"""
