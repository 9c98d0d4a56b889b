"""What the command-line programs share: errors, logging, and options made from the config."""
