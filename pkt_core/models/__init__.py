"""Loading any Hugging Face decoder and finding its parts."""
