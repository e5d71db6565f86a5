-- KEYS: mem, revoked, times, ends, lineage
-- ARGV: mem, max_revocations, horizon, the number of revocations, for each of these what, at,
-- until and the end of its bucket; the memories of the lineage

local mem = memory()
local told = judged(mem)
if told then
  return told
end
local revoked, times, ends, lineage = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
if revocations_lost(mem, revoked, times, ends) then
  return { 'broken', 'lost' }
end

local last, new, named = 4 + 4 * tonumber(ARGV[4]), 0, {}
for i = 5, last, 4 do
  if not named[ARGV[i]] and redis.call('HEXISTS', times, ARGV[i]) == 0 then
    new = new + 1
  end
  named[ARGV[i]] = true
end
if new > 0 and mem.revocations + new > tonumber(ARGV[2]) then
  return { 'full' }
end
for i = 5, last, 4 do
  local what, at, till, over = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local known = redis.call('HGET', times, what)
  if known then
    local known_at, known_till = string.match(known, '^(%d+) (%d+)$')
    at, till = math.max(at, tonumber(known_at)), math.max(till, tonumber(known_till))
    over = math.max(over, tonumber(redis.call('ZSCORE', ends, what)))
  end
  local time = string.format('%.0f %.0f', at, till)
  if time ~= known then
    -- Counted first: counted and not there is lost.
    if not known then
      redis.call('HINCRBY', KEYS[1], 'revocations', 1)
    end
    mem.latest = redis.call('HINCRBY', KEYS[1], 'latest', 1)
    redis.call('ZADD', revoked, mem.latest, what)
    redis.call('HSET', times, what, time)
    redis.call('ZADD', ends, over, what)
  end
end
for i = last + 1, #ARGV do
  redis.call('ZADD', lineage, 'NX', now, ARGV[i])
end
if last < #ARGV then
  redis.call('ZREMRANGEBYRANK', lineage, 0, -1025)
end
if tonumber(ARGV[3]) > mem.revoked_horizon then
  redis.call('HSET', KEYS[1], 'revoked_horizon', ARGV[3])
end
return { 'revoked', tostring(mem.latest) }
