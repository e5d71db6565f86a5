-- KEYS: mem, revoked, times, ends
-- ARGV: mem, keep, the prefix of all keys

local mem = memory()
local told = judged(mem)
if told then
  return told
end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local bucket = tonumber(string.match(all[i], '^b(%d+)$'))
  if bucket and bucket + tonumber(ARGV[2]) <= now then
    -- What makes room first: a server without any then lets the rest through. Dropped and still
    -- listed is lost.
    redis.call('UNLINK', ARGV[3] .. 'used:' .. ARGV[1] .. ':' .. string.sub(all[i], 2))
    mem.horizon = math.max(mem.horizon, bucket)
    redis.call('HSET', KEYS[1], 'horizon', string.format('%.0f', mem.horizon))
    redis.call('HINCRBY', KEYS[1], 'entries', '-' .. all[i + 1])
    redis.call('HDEL', KEYS[1], all[i])
  end
end
local over = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now - KEEP, 'WITHSCORES', 'LIMIT', 0, 1000)
for i = 1, #over, 2 do
  redis.call('ZREM', KEYS[2], over[i])
  redis.call('HDEL', KEYS[3], over[i])
  redis.call('ZREM', KEYS[4], over[i])
  mem.revoked_horizon = math.max(mem.revoked_horizon, tonumber(over[i + 1]))
  redis.call('HSET', KEYS[1], 'revoked_horizon', string.format('%.0f', mem.revoked_horizon))
  redis.call('HINCRBY', KEYS[1], 'revocations', -1)
end
return { 'swept' }
