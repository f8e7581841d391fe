-- Forgets records for good: the one way in which a key goes. KEYS[2] is where it is noted when, then
-- the keys to forget. ARGV: the epoch and incarnation that the shard has in PostgreSQL, and the
-- applied_seq from which on no row of the outbox names these customers any more. What was read
-- before that and is put in late is refused by what is noted (fill.lua).

local meta = read_meta()
if not is_life_of(meta, ARGV[1], ARGV[2]) or meta.applied_seq < tonumber(ARGV[3]) then
  return answer(false)
end
for index = 3, #KEYS do
  redis.call('DEL', KEYS[index])
end
redis.call('SET', KEYS[2],
  string.format('%.0f %.0f %.0f', meta.epoch, meta.incarnation, meta.applied_seq))
return answer(true)
