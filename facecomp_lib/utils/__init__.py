"""What every other part of the library may use: files, checks, keyed random numbers."""
