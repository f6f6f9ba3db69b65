"""What may be wrong with a server and its surroundings, each with its mend."""
