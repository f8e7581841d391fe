-- Applies a contiguous batch of outbox rows. ARGV: epoch, incarnation, first_seq, last_seq,
-- publication, newest publication, then a record for each key after the first. Without rows
-- last_seq is first_seq - 1, and only the publications are told.

local meta = read_meta()
if not is_life_of(meta, ARGV[1], ARGV[2]) or meta.applied_seq ~= tonumber(ARGV[3]) - 1 then
  return answer(false)
end
for index = 2, #KEYS do
  put_record(KEYS[index], ARGV[index + 5])
end
meta.applied_seq = tonumber(ARGV[4])
meta.publication = math.max(meta.publication, tonumber(ARGV[5]))
meta.newest = math.max(meta.newest, tonumber(ARGV[6]))
write_meta(meta)
return answer(true)
