-- Puts in records that were read from PostgreSQL. ARGV: the epoch and incarnation that the meta had
-- before that reading began, then a record for each key after the first. Under another life of the
-- cache the reading may be older than what was applied and lost since, so it is refused.

if not is_life_of(read_meta(), ARGV[1], ARGV[2]) then
  return answer(false)
end
for index = 2, #KEYS do
  put_record(KEYS[index], ARGV[index + 1])
end
return answer(true)
