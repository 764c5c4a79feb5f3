"""What is written and said: image block, ``fit.log``, restart file, and the text on stdout."""
