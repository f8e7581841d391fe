-- Says that every customer of the shard has a record. ARGV: the epoch and incarnation in which they
-- were all put in.

local meta = read_meta()
if not is_life_of(meta, ARGV[1], ARGV[2]) then
  return answer(false)
end
meta.complete = 1
write_meta(meta)
return answer(true)
