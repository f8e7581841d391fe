"""Version 1 of the public contract: the .proto files and the stubs `protos/generate.py` writes."""
