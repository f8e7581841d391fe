"""The examples of docs/clients, run as they are, against real servers, in every language alike."""
