"""Where do the layers of two models agree?"""
