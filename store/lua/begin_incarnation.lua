-- Begins a later life of the shard's cache. ARGV: epoch, incarnation, applied_seq, publication,
-- complete, newest publication.

local meta = read_meta()
local begun = {
  epoch = tonumber(ARGV[1]),
  incarnation = tonumber(ARGV[2]),
  applied_seq = tonumber(ARGV[3]),
  publication = tonumber(ARGV[4]),
  complete = tonumber(ARGV[5]),
  newest = tonumber(ARGV[6]),
}
if meta and not is_newer({begun.epoch, begun.incarnation}, {meta.epoch, meta.incarnation}) then
  return answer(false)
end
write_meta(begun)
return answer(true)
