"""What course.py runs inside the environment: executing, opening and rebuilding the lessons."""
