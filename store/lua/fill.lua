-- Puts in records that were read from PostgreSQL. KEYS[2] counts the pages of a warm-up, KEYS[3]
-- says when records were last forgotten. ARGV: the epoch and incarnation that the meta had before
-- that reading began, the session of a warm-up or 0, the index of its page, the applied_seq that the
-- meta had, then a record for each key after the third. Under another life of the cache the reading
-- may be older than what was applied and lost since, so it is refused; and so is one that began
-- before records were forgotten, as it may hold one of those.

if not is_life_of(read_meta(), ARGV[1], ARGV[2]) then
  return answer(false)
end
local forgotten = redis.call('GET', KEYS[3])
if forgotten then
  local epoch, incarnation, seq = string.match(forgotten, '^(%d+) (%d+) (%d+)$')
  if not seq or (epoch == ARGV[1] and incarnation == ARGV[2]
    and tonumber(ARGV[5]) < tonumber(seq)) then
    return answer(false)
  end
end
for index = 4, #KEYS do
  put_record(KEYS[index], ARGV[index + 2])
end
if ARGV[3] ~= '0' then
  local follows = ARGV[4] == '0' or redis.call('GET', KEYS[2]) == ARGV[3] .. ' ' .. ARGV[4]
  if not follows then
    return answer(false)
  end
  redis.call('SET', KEYS[2], ARGV[3] .. ' ' .. string.format('%.0f', tonumber(ARGV[4]) + 1))
end
return answer(true)
