"""Which method wins, and which controls explain that?"""
