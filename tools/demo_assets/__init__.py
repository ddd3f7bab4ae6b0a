"""The named people whose portraits and performance livepuppet ships: their cast, their rooms, and how they are rendered and painted.

`python -m tools.demo_assets OUT` renders them anew.
"""
