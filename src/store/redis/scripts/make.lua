-- KEYS: mem
-- ARGV: the new memory, the old one or nothing, the prefix of all keys

local id = replid()
if not id then
  return REPLICA
end
local there = redis.call('HGET', KEYS[1], 'id')
if (there or '') ~= ARGV[2] then
  return { 'kept', there }
end
-- What makes room first: a server without any then lets the rest through.
if there then
  local prefix = ARGV[3]
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    local bucket = string.match(field, '^b(%d+)$')
    if bucket then
      redis.call('UNLINK', prefix .. 'used:' .. there .. ':' .. bucket)
    end
  end
  for _, kind in ipairs({ 'revoked:', 'times:', 'ends:', 'lineage:' }) do
    redis.call('UNLINK', prefix .. kind .. there)
  end
  redis.call('DEL', KEYS[1])
end
redis.call(
  'HSET', KEYS[1], 'id', ARGV[1], 'replid', id, 'horizon', 0, 'revoked_horizon', 0,
  'latest', 0, 'entries', 0, 'revocations', 0
)
return { 'made' }
