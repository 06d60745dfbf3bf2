"""Where do the layers agree?"""
