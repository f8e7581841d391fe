"""What each caller asks of all processes together, told by way of Redis.

What lives here: adding up what every process says of callers who ask much of it. It is for
limits alone: no answer rests on it, and what is lost of it comes again within a second.
"""

import uuid
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

from store.redis_client import RedisClient, Script
from store.redis_layout import shard_tag
from store.sharding import shard_of

HEARD_MILLISECONDS: Final = 3000
"""A process that has said nothing of a caller for so long is asked nothing by it any more."""

_DIGEST_BYTES: Final = 16

# KEYS[1] is of one caller: for each process when it said last, how many calls in a second it has,
# and how many streams. Given is what the others said.
_SAY: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %s %s', now, ARGV[2], ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
local calls = 0
local streams = 0
local said = redis.call('HGETALL', KEYS[1])
for place = 1, #said, 2 do
  local at, rate, open = string.match(said[place + 1], '^(%d+) (%S+) (%d+)$')
  if now - at > tonumber(ARGV[4]) then
    redis.call('HDEL', KEYS[1], said[place])
  elseif said[place] ~= ARGV[1] then
    calls = calls + tonumber(rate)
    streams = streams + tonumber(open)
  end
end
return {tostring(calls), streams}
"""


class Demand(NamedTuple):
    """What a caller asks: how many calls in a second, and how many streams it has open."""

    calls_per_second: float = 0.0
    streams: int = 0


class SharedDemand:
    """Tells what callers ask of other processes. Safe to be used by several threads."""

    def __init__(self, client: RedisClient, namespace: str) -> None:
        """Use the keys that begin with `namespace`, as a process of its own."""
        self._client = client
        self._namespace = namespace
        self._process = uuid.uuid4().hex
        self._say = Script(_SAY)

    def of_others(self, ours: Mapping[str, Demand]) -> Mapping[str, Demand]:
        """Say what callers ask of us, and give what each asks of all others.

        Raises UnavailableError.
        """
        return {caller: self._of_others(caller, demand) for caller, demand in ours.items()}

    def _of_others(self, caller: str, ours: Demand) -> Demand:
        # Who calls may be a customer, whose name is nobody's business in Redis.
        digest = blake2b(caller.encode(), digest_size=_DIGEST_BYTES).hexdigest()
        shard = shard_of(digest)
        key = f"{self._namespace}:{shard_tag(shard)}:caller:{digest}"
        said = (self._process, repr(ours.calls_per_second), ours.streams, HEARD_MILLISECONDS)
        calls, streams = self._client.run(shard, self._say, [key], said)
        return Demand(float(calls), int(streams))
