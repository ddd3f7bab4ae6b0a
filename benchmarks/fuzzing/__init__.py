"""What `fuzz.py` is made of: whole files of every kind, ways to damage them, the product's readers, and a fence around each case."""
