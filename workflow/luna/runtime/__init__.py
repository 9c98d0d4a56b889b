"""The machine a program runs on: cores, GPUs, the device, several processes."""
