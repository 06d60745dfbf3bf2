"""What does a state encode?"""
