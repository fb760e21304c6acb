"""Scripts that make tables which come with fmahal or stand in docs/, and what they have simulated."""
