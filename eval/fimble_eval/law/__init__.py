"""The law of acceleration, tried over whole files: inside a block its siblings stay unwritten."""
