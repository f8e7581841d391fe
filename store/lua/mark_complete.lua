-- Says that every customer of the shard has a record. KEYS[2] counts the pages of a warm-up. ARGV:
-- the epoch and incarnation in which they were all put in, the warm-up's session, its number of
-- pages. A Redis that went back to an older snapshot since has not counted all of them.

local meta = read_meta()
if not is_life_of(meta, ARGV[1], ARGV[2])
  or redis.call('GET', KEYS[2]) ~= ARGV[3] .. ' ' .. ARGV[4] then
  return answer(false)
end
redis.call('DEL', KEYS[2])
meta.complete = 1
write_meta(meta)
return answer(true)
