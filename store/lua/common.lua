-- Put before every script. KEYS[1] is the meta of one shard and all other keys of a call are
-- customers of that shard, so a call stays in one slot. The text of a meta is that of store/meta.py
-- and the header of a record that of store/record/layout.py, alike in every format.

local RECORD_FORMATS = {[1] = true, [2] = true, [3] = true, [4] = true}
local HEADER_BYTES = 24
local LIFE_MAX = 2000000000

local function read_meta()
  local text = redis.call('GET', KEYS[1])
  if not text then
    return nil
  end
  local epoch, incarnation, applied_seq, publication, complete, newest =
    string.match(text, '^(%d+) (%d+) (%d+) (%d+) ([01]) (%d+)$')
  -- What Python takes for no meta has to be none here too, or no life could follow it.
  if not epoch or tonumber(epoch) > LIFE_MAX or tonumber(incarnation) > LIFE_MAX
    or #applied_seq > 16 or #publication > 10 or #newest > 10 then
    return nil
  end
  return {
    epoch = tonumber(epoch),
    incarnation = tonumber(incarnation),
    applied_seq = tonumber(applied_seq),
    publication = tonumber(publication),
    complete = tonumber(complete),
    newest = tonumber(newest),
  }
end

local function write_meta(meta)
  -- Lua's numbers are doubles: %.0f writes them without an exponent.
  redis.call('SET', KEYS[1], string.format('%.0f %.0f %.0f %.0f %.0f %.0f',
    meta.epoch, meta.incarnation, meta.applied_seq, meta.publication, meta.complete, meta.newest))
end

local function is_life_of(meta, epoch, incarnation)
  return meta ~= nil and meta.epoch == tonumber(epoch) and meta.incarnation == tonumber(incarnation)
end

-- What puts one record before another: epoch, incarnation, version, publication. The publication
-- counts last: it says under which catalog the same version is known to be right.
local function order_of(record)
  if #record < HEADER_BYTES or not RECORD_FORMATS[string.byte(record, 1)] then
    return nil
  end
  local epoch, incarnation, version, publication = struct.unpack('<I4I4I8I4', record, 5)
  return {epoch, incarnation, version, publication}
end

local function is_newer(offered, present)
  for index = 1, #offered do
    if offered[index] ~= present[index] then
      return offered[index] > present[index]
    end
  end
  return false
end

-- Records go upwards only, whoever comes late. Bytes that are no record are as good as absent.
local function put_record(key, record)
  local present = order_of(redis.call('GETRANGE', key, 0, HEADER_BYTES - 1))
  if present == nil or is_newer(order_of(record), present) then
    redis.call('SET', key, record)
  end
end

local function answer(is_accepted)
  return {is_accepted and 1 or 0, redis.call('GET', KEYS[1]) or ''}
end
