-- KEYS: mem, the token's bucket
-- ARGV: mem, id, end of the bucket, expires

local mem = memory('b' .. ARGV[3])
local told = judged(mem)
if told then
  return told
end
if redis.call('HLEN', KEYS[2]) ~= mem.bucket then
  return { 'broken', 'lost' }
end
local expires = tonumber(ARGV[4])
if expires <= now or expires <= mem.horizon then
  return { 'expired' }
end
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then
  return { 'used' }
end
return { 'spent' }
