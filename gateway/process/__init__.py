"""One process of the gateway: it builds all parts from the settings, opens the ports, and stops in order."""
