"""What do the models write?"""
