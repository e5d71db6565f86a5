-- KEYS: mem, the token's bucket
-- ARGV: mem, id, end of the bucket, expires, attempt, heard, max_entries

local field = 'b' .. ARGV[3]
local mem = memory(field)
local told = judged(mem)
if told then
  return told
end
if redis.call('HLEN', KEYS[2]) ~= mem.bucket then
  return { 'broken', 'lost' }
end
local by = redis.call('HGET', KEYS[2], ARGV[2])
if by == ARGV[5] then
  return { 'spent' }
end
local expires = tonumber(ARGV[4])
if expires <= now or expires <= mem.horizon then
  return { 'expired' }
end
if by then
  return { 'used' }
end
if mem.latest > tonumber(ARGV[6]) then
  return { 'behind' }
end
if mem.entries >= tonumber(ARGV[7]) then
  return { 'full' }
end
-- Counted first: what is counted and not there is lost, and ends the memory. A server without
-- room refuses at the first of these.
redis.call('HINCRBY', KEYS[1], field, 1)
redis.call('HINCRBY', KEYS[1], 'entries', 1)
redis.call('HSET', KEYS[2], ARGV[2], ARGV[5])
if mem.bucket == 0 then
  -- Should no gate ever sweep again. Listed and expired is lost, not forgotten.
  redis.call('EXPIREAT', KEYS[2], tonumber(ARGV[3]) + 2 * KEEP)
end
return { 'spent' }
