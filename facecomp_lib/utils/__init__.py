"""What every other package may use: checks of arguments, keyed random numbers. It imports nothing of ours."""
