"""Which map carries a state from teacher to student?"""
