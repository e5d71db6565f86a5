-- KEYS: mem, gates
-- ARGV: the memory known or nothing, gate, heard, limit, the prefix of all keys, LISTENING

local id = replid()
if not id then
  return REPLICA
end
local gates, gate, prefix, listening = KEYS[2], ARGV[2], ARGV[5], tonumber(ARGV[6])
local mem = memory()
local heard = 0
if mem.id and mem.id == ARGV[1] then
  heard = tonumber(ARGV[3])
end

-- '.' is no gate's name: since when the others are noted here.
local since = tonumber(redis.call('HGET', gates, '.'))
if not since or since > now then
  since = now
  redis.call('HSET', gates, '.', now)
end
redis.call('HSET', gates, gate, now .. ' ' .. (mem.id or '-') .. ' ' .. heard)
local confirmed = heard
local noted = redis.call('HGETALL', gates)
for i = 1, #noted, 2 do
  local at, under, upto = string.match(noted[i + 1], '^(%d+) (%S+) (%d+)$')
  at = tonumber(at)
  if not at then
    -- The mark of the beginning.
  elseif math.abs(now - at) > 20 * listening then
    redis.call('HDEL', gates, noted[i])
  elseif now - at < listening then
    if under ~= mem.id then
      upto = 0
    end
    confirmed = math.min(confirmed, tonumber(upto))
  end
end
if now - since < listening then
  confirmed = 0
end

if not mem.id then
  return { 'heard', false, false, tostring(now), '0', '0', '0', '0', '0', '0', {}, {} }
end
local revoked, times, ends = prefix .. 'revoked:' .. mem.id, prefix .. 'times:' .. mem.id, prefix .. 'ends:' .. mem.id
local broken = breakage(mem, id)
if not broken and revocations_lost(mem, revoked, times, ends) then
  broken = 'lost'
end
local news, upto = {}, mem.latest
local limit = tonumber(ARGV[4])
local found = redis.call('ZRANGEBYSCORE', revoked, '(' .. heard, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
if #found == 2 * limit then
  upto = tonumber(found[#found])
end
for i = 1, #found, 2 do
  local time = redis.call('HGET', times, found[i])
  if time then
    news[#news + 1] = found[i]
    news[#news + 1] = time
  else
    broken = broken or 'lost'
  end
end
return {
  'heard', mem.id, broken or false, tostring(now), tostring(mem.entries), tostring(mem.horizon),
  tostring(mem.revoked_horizon), tostring(mem.latest), tostring(upto), tostring(confirmed), news,
  redis.call('ZRANGE', prefix .. 'lineage:' .. mem.id, 0, -1),
}
