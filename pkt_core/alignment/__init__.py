"""How the teacher's space is carried into the student's, and which layers belong together."""
