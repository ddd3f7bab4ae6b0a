"""The named people whose portraits and performance livepuppet ships: their cast, their rooms, and how they are rendered and painted."""
