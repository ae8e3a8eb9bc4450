"""Models of pictures, sounds and texts: what `lepton.train` does where there are more than numbers and categories."""
