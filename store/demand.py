"""How often each caller calls all processes together, told by way of Redis.

What lives here: adding up what every process says of the callers that it hears often. It is for
limits alone: no answer rests on it, and what is lost of it comes again within a second.
"""

import uuid
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from store.redis_client import RedisClient, Script
from store.redis_layout import shard_tag
from store.sharding import shard_of

HEARD_MILLISECONDS: Final = 3000
"""A process that has said nothing of a caller for so long does not hear it any more."""

_DIGEST_BYTES: Final = 16

# KEYS[1] is of one caller: for each process when it said last, and how many calls in a second.
_SAY: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %s', now, ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local total = 0
local said = redis.call('HGETALL', KEYS[1])
for place = 1, #said, 2 do
  local at, rate = string.match(said[place + 1], '^(%d+) (%S+)$')
  if now - at > tonumber(ARGV[3]) then
    redis.call('HDEL', KEYS[1], said[place])
  else
    total = total + tonumber(rate)
  end
end
return tostring(total)
"""


class SharedDemand:
    """Tells which part of every caller's calls is ours. Safe to be used by several threads."""

    def __init__(self, client: RedisClient, namespace: str) -> None:
        """Use the keys that begin with `namespace`, as a process of its own."""
        self._client = client
        self._namespace = namespace
        self._process = uuid.uuid4().hex
        self._say = Script(_SAY)

    def shares(self, calls_per_second: Mapping[str, float]) -> Mapping[str, float]:
        """Say how often we are called by whom, and give which part of all calls that is, 0 to 1.

        Raises UnavailableError.
        """
        return {
            caller: min(1.0, rate / self._total(caller, rate))
            for caller, rate in calls_per_second.items()
            if rate > 0.0
        }

    def _total(self, caller: str, rate: float) -> float:
        # Who calls may be a customer, whose name is nobody's business in Redis.
        digest = blake2b(caller.encode(), digest_size=_DIGEST_BYTES).hexdigest()
        shard = shard_of(digest)
        key = f"{self._namespace}:{shard_tag(shard)}:caller:{digest}"
        arguments = (self._process, repr(rate), HEARD_MILLISECONDS)
        return max(rate, float(self._client.run(shard, self._say, [key], arguments)))
