"""Processes: gRPC servicers, workers, console and command line around one composition root.

Here lives all that meets the outside world: the network, terminals, files, clocks. What a consent
means is in `decision`, what is kept and how is in `store`; neither may import this package.
"""
