"""The config as typed objects: one module for each section, where every key is defined once."""
