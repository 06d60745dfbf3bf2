"""What a model does: recall, bits per byte, agreement with the teacher, generations; each with n and an interval."""
