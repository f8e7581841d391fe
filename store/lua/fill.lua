-- Puts in records that were read from PostgreSQL. KEYS[2] counts the pages of a warm-up. ARGV: the
-- epoch and incarnation that the meta had before that reading began, the session of a warm-up or 0,
-- the index of its page, then a record for each key after the second. Under another life of the
-- cache the reading may be older than what was applied and lost since, so it is refused.

if not is_life_of(read_meta(), ARGV[1], ARGV[2]) then
  return answer(false)
end
for index = 3, #KEYS do
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
