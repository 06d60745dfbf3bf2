"""Where did predictions change?"""
