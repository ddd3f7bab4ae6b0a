"""Phones and other programs that watch a face and send what it does, in numbers, over the network."""
