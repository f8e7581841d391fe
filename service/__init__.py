"""Processes: gRPC servicers, workers, console and command line around one composition root.

Here lives all that meets the outside world: the network, terminals, files, clocks. What a consent
means is in `decision`, what is kept and how is in `store`; neither may import this package.
"""

import os

# gRPC's core reads this when it is first imported, which only modules of this package do. Else it
# writes lines of its own to standard error past our log, one for every connection without a
# handshake: anybody could fill a disk. An operator who sets it sees what they ask for.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
